from __future__ import annotations

from ipaddress import ip_address
from typing import TypeVar

import pytest
from aioice.stun import Class, Method

from callfleet_relay.events import (
    AllocateAnswered,
    BindChannel,
    Drop,
    Dropped,
    Forbid,
    Outcome,
    PeerDenied,
    Permit,
    Reply,
    SendToPeer,
    SessionEnd,
    SessionEnded,
    UnbindChannel,
)
from callfleet_relay.message import Attribute, encode, parse, unpack_address
from callfleet_relay.peers import PeerEntry
from callfleet_relay.permissions import MAX_CHANNELS, MAX_PERMISSIONS

from .support import (
    PUBLIC_PEER,
    UDP,
    UNIX,
    Client,
    attribute,
    channel_number,
    error_of,
    lifetime,
    make_world,
    plain_credential,
    seconds_of,
)

T = TypeVar("T")
V6_RELAY = "2620:0:ccc::2"


def only(events: list[object], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def outcomes(client: Client) -> list[Outcome]:
    return [event.outcome for event in only([*client.events], AllocateAnswered)]


def test_a_binding_request_gets_its_own_address_unsigned() -> None:
    client = Client(make_world())

    (reply,) = client.send(client.build(Method.BINDING, fingerprint=True))

    mapped = reply.first(Attribute.XOR_MAPPED_ADDRESS)
    assert mapped is not None
    assert unpack_address(mapped, reply.transaction_id) == client.address
    assert reply.has_fingerprint
    assert reply.first(Attribute.MESSAGE_INTEGRITY) is None


def test_an_unknown_required_attribute_is_named() -> None:
    client = Client(make_world())

    (reply,) = client.send(client.build(Method.BINDING, [(0x7FFF, b"")]))

    assert error_of(reply) == 420
    assert reply.first(Attribute.UNKNOWN_ATTRIBUTES) == b"\x7f\xff"
    assert error_of(client.allocate((0x7FFE, b""))) == 420


def test_allocates_after_a_challenge_and_signs_the_reply() -> None:
    client = Client(make_world())

    reply = client.allocate()

    assert error_of(reply) is None
    assert seconds_of(reply) == 600
    relayed = reply.first(Attribute.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    host, port = unpack_address(relayed, reply.transaction_id)
    assert host == "192.0.2.1"
    assert 50000 <= port <= 50099
    assert reply.has_integrity(client.credential.key)
    assert reply.first(Attribute.SOFTWARE)
    assert outcomes(client) == [Outcome.OK]


def test_keeps_nothing_of_who_is_not_authenticated() -> None:
    world = make_world()
    for port in range(40000, 40050):
        client = Client(world, ("198.51.100.7", port))
        client.send(client.build(Method.ALLOCATE, [UDP]))

    assert world.server.allocations == 0
    assert world.server.next_timer() is None


def test_a_retransmitted_allocate_gets_the_same_reply_and_is_counted_once() -> None:
    client = Client(make_world())
    client.ask(Method.REFRESH)
    request = client.build(Method.ALLOCATE, [UDP])

    first = client.world.receive(request, client.five_tuple)
    second = client.world.receive(request, client.five_tuple)

    assert only([*first], Reply) == only([*second], Reply)
    assert len(only([*first], AllocateAnswered)) == 1
    assert only([*second], AllocateAnswered) == []
    assert client.world.server.allocations == 1


def test_a_retransmitted_refusal_is_counted_once() -> None:
    client = Client(make_world())
    request = client.build(Method.ALLOCATE, [UDP])

    counted = [
        only([*client.world.receive(request, client.five_tuple)], AllocateAnswered)
        for _ in range(3)
    ]

    assert counted == [[AllocateAnswered(Outcome.CHALLENGED, None)], [], []]


def test_a_second_allocate_on_the_same_5_tuple_is_a_mismatch() -> None:
    client = Client(make_world())
    client.allocate()

    assert error_of(client.allocate()) == 437
    assert outcomes(client) == [Outcome.MISMATCH]


@pytest.mark.parametrize(
    ("attributes", "code", "outcome"),
    [
        ([], 400, Outcome.BAD_REQUEST),
        ([attribute(Attribute.REQUESTED_TRANSPORT, b"\x11")], 400, Outcome.BAD_REQUEST),
        ([attribute(Attribute.REQUESTED_TRANSPORT, b"\x06\0\0\0")], 442, Outcome.UNSUPPORTED),
        ([UDP, attribute(Attribute.LIFETIME, b"\1")], 400, Outcome.BAD_REQUEST),
        (
            [UDP, attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")],
            440,
            Outcome.UNSUPPORTED,
        ),
        (
            [UDP, attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\7\0\0\0")],
            440,
            Outcome.UNSUPPORTED,
        ),
        (
            [
                UDP,
                attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0"),
                attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"),
            ],
            400,
            Outcome.BAD_REQUEST,
        ),
        (
            [UDP, attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\1\0\0\0")],
            400,
            Outcome.BAD_REQUEST,
        ),
        ([UDP, attribute(Attribute.EVEN_PORT, b"\x80")], 508, Outcome.UNSUPPORTED),
        ([UDP, attribute(Attribute.EVEN_PORT, b"")], 400, Outcome.BAD_REQUEST),
        ([UDP, attribute(Attribute.RESERVATION_TOKEN, bytes(8))], 508, Outcome.UNSUPPORTED),
        (
            [
                UDP,
                attribute(Attribute.RESERVATION_TOKEN, bytes(8)),
                attribute(Attribute.EVEN_PORT, b"\0"),
            ],
            400,
            Outcome.BAD_REQUEST,
        ),
    ],
)
def test_refuses_what_an_allocate_may_not_ask(
    attributes: list[tuple[int, bytes]], code: int, outcome: Outcome
) -> None:
    client = Client(make_world())

    reply = client.ask(Method.ALLOCATE, attributes)

    assert error_of(reply) == code
    assert outcomes(client) == [outcome]
    assert reply.has_integrity(client.credential.key)
    assert client.world.server.allocations == 0


def test_an_even_port_is_even() -> None:
    world = make_world()
    for number in range(10):
        client = Client(world, ("198.51.100.7", 40000 + number))
        reply = client.allocate(attribute(Attribute.EVEN_PORT, b"\0"))
        relayed = reply.first(Attribute.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert unpack_address(relayed, reply.transaction_id)[1] % 2 == 0


def test_dont_fragment_is_understood() -> None:
    client = Client(make_world())

    assert error_of(client.allocate(attribute(Attribute.DONT_FRAGMENT, b""))) is None


def test_a_second_family_is_declined_beside_the_first() -> None:
    client = Client(make_world())

    reply = client.allocate(attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"))

    assert error_of(reply) is None
    assert reply.first(Attribute.ADDRESS_ERROR_CODE) == bytes([2, 0, 4, 40])


def test_an_ipv6_relay_serves_ipv6_only() -> None:
    client = Client(make_world(relay_host=V6_RELAY))
    family = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")

    assert error_of(client.allocate()) == 440
    assert error_of(client.allocate(family)) is None
    assert error_of(client.permit(PUBLIC_PEER)) == 443
    assert error_of(client.permit(("2620:fe::fe", 1))) is None


@pytest.mark.parametrize(("asked", "granted"), [(0, 600), (1, 600), (700, 700), (9999, 3600)])
def test_bounds_the_lifetime(asked: int, granted: int) -> None:
    client = Client(make_world())

    assert seconds_of(client.allocate(lifetime(asked))) == granted


def test_refresh_extends_and_zero_deletes() -> None:
    client = Client(make_world())
    client.allocate()
    client.world.sleep(599)
    assert seconds_of(client.refresh()) == 600
    assert client.world.sleep(599) == []

    assert seconds_of(client.refresh(0)) == 0

    (ended,) = only([*client.events], SessionEnded)
    assert ended.cause is SessionEnd.DELETED
    assert error_of(client.refresh()) == 437


def test_refresh_of_another_family_is_a_mismatch() -> None:
    client = Client(make_world())
    client.allocate()
    other = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")

    assert error_of(client.ask(Method.REFRESH, [other])) == 443


def test_an_allocation_that_is_not_refreshed_expires() -> None:
    client = Client(make_world())
    client.allocate()

    (ended,) = client.world.sleep(600)

    assert isinstance(ended, SessionEnded)
    assert (ended.cause, ended.user, ended.seconds) == (SessionEnd.EXPIRED, "alice", 600)
    assert client.world.server.allocations == 0


def test_an_allocation_ends_with_its_credential_and_a_grace() -> None:
    client = Client(make_world(grace=60), credential=plain_credential(expires=UNIX + 1000))
    client.allocate()
    client.world.sleep(500)
    assert seconds_of(client.refresh(3600)) == 560

    client.world.sleep(500)
    assert error_of(client.refresh()) == 401
    (ended,) = client.world.sleep(60)

    assert isinstance(ended, SessionEnded)
    assert ended.cause is SessionEnd.CREDENTIAL_EXPIRED


def test_expired_credentials_get_no_allocation() -> None:
    client = Client(make_world(), credential=plain_credential(expires=UNIX - 1))

    assert error_of(client.allocate()) == 401
    assert outcomes(client) == [Outcome.EXPIRED]


def test_unknown_user_and_wrong_password_get_identical_replies() -> None:
    unknown = Client(make_world(), credential=plain_credential("bob", secret=b"x" * 32))
    unsigned = Client(make_world())
    replies = []
    for client in (unknown, unsigned):
        client.nonce = client.world.server.authenticator.challenge(
            client.address, client.world.now
        )[1][1]
        request = client.build(Method.ALLOCATE, [UDP], transaction_id=b"transaction!")
        if client is unsigned:
            request = encode(
                Method.ALLOCATE,
                Class.REQUEST,
                b"transaction!",
                [pair for pair in parse(request).attributes if pair[0] != 0x0008],
                key=b"wrong password",
            )
        (event,) = only([*client.world.receive(request, client.five_tuple)], Reply)
        replies.append(event.data)

    assert replies[0] == replies[1]


def test_a_stale_nonce_is_renewed() -> None:
    client = Client(make_world())
    client.allocate()
    client.nonce = b"stale"

    reply = client.refresh()

    assert error_of(reply) == 438
    client.nonce = reply.first(Attribute.NONCE)
    assert error_of(client.refresh()) is None


def test_another_users_request_on_an_allocation_is_refused() -> None:
    client = Client(make_world())
    client.allocate()
    client.credential = plain_credential("mallory")

    assert error_of(client.refresh(0)) == 441
    assert error_of(client.permit(PUBLIC_PEER)) == 441
    assert client.world.server.allocations == 1


def test_quota_of_a_user_and_of_all() -> None:
    world = make_world(capacity=3, per_user=2)
    clients = [Client(world, ("198.51.100.7", 40000 + n)) for n in range(3)]
    assert [error_of(client.allocate()) for client in clients] == [None, None, 486]
    assert outcomes(clients[2]) == [Outcome.QUOTA]
    bob, carol = (
        Client(world, ("198.51.100.8", n), plain_credential(user))
        for n, user in ((1, "bob"), (2, "carol"))
    )
    assert error_of(bob.allocate()) is None

    assert error_of(carol.allocate()) == 508
    assert outcomes(carol) == [Outcome.CAPACITY]

    clients[0].refresh(0)
    assert error_of(carol.allocate()) is None


def test_quota_follows_the_user_not_the_credential() -> None:
    world = make_world(per_user=1)
    Client(world, ("198.51.100.7", 1), plain_credential(expires=UNIX + 60)).allocate()
    again = Client(world, ("198.51.100.7", 2), plain_credential(expires=UNIX + 90))

    assert error_of(again.allocate()) == 486


def test_a_port_that_another_program_holds_is_passed_over() -> None:
    world = make_world(ports=(50000, 50001))
    world.refused_ports = {50001}
    client = Client(world)

    reply = client.allocate()

    relayed = reply.first(Attribute.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert unpack_address(relayed, reply.transaction_id)[1] == 50000


def test_no_port_left_is_said_and_nothing_is_kept() -> None:
    world = make_world(ports=(50000, 50003))
    world.refused_ports = {50000, 50001, 50002, 50003}
    client = Client(world)

    assert error_of(client.allocate()) == 508
    assert outcomes(client) == [Outcome.PORT_EXHAUSTED]
    assert world.server.allocations == 0
    world.refused_ports.clear()
    assert error_of(client.allocate()) is None


def test_draining_refuses_new_allocations_only() -> None:
    world = make_world()
    old, new = Client(world), Client(world, ("198.51.100.8", 1))
    old.allocate()
    world.server.gate.drain("d")

    assert error_of(new.allocate()) == 508
    assert outcomes(new) == [Outcome.DRAINING]
    assert error_of(old.refresh()) is None
    assert error_of(old.permit(PUBLIC_PEER)) is None
    world.server.gate.undrain("d")
    assert error_of(new.allocate()) is None


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_an_allocation_there_is_a_mismatch(method: Method) -> None:
    assert error_of(Client(make_world()).ask(method)) == 437


def test_one_request_permits_several_peers() -> None:
    client = Client(make_world())
    client.allocate()

    reply = client.permit(("8.8.4.4", 1), ("8.8.8.8", 2))

    assert error_of(reply) is None
    assert {event.host for event in only([*client.events], Permit)} == {"8.8.4.4", "8.8.8.8"}


def test_one_denied_peer_denies_the_whole_request() -> None:
    client = Client(make_world())
    client.allocate()

    assert error_of(client.permit(("8.8.4.4", 1), ("10.0.0.1", 2))) == 403
    assert only([*client.events], PeerDenied)
    assert client.send_indication(("8.8.4.4", 1), b"x") == [Dropped(Drop.NO_PERMISSION)]


def test_a_request_without_peers_is_bad() -> None:
    client = Client(make_world())
    client.allocate()

    assert error_of(client.permit()) == 400
    broken = attribute(Attribute.XOR_PEER_ADDRESS, b"\0\1\0")
    assert error_of(client.ask(Method.CREATE_PERMISSION, [broken])) == 400


def test_permissions_of_an_allocation_are_bounded() -> None:
    client = Client(make_world())
    client.allocate()
    peers = [(f"8.8.{n // 250}.{n % 250 + 1}", 1) for n in range(MAX_PERMISSIONS + 1)]
    for start in range(0, MAX_PERMISSIONS, 32):
        assert error_of(client.permit(*peers[start : start + 32])) is None

    assert error_of(client.permit(peers[-1])) == 508
    assert error_of(client.permit(peers[0])) is None


def test_channels_of_an_allocation_are_bounded() -> None:
    client = Client(make_world())
    client.allocate()
    for number in range(MAX_CHANNELS):
        assert error_of(client.bind(0x4000 + number, ("8.8.4.4", number + 1))) is None

    assert error_of(client.bind(0x4FFF, ("8.8.4.4", 999))) == 508


def test_binds_a_channel_and_permits_its_peer() -> None:
    client = Client(make_world())
    client.allocate()

    assert error_of(client.bind(0x4000, PUBLIC_PEER)) is None

    assert only([*client.events], Permit) == [Permit(1, "8.8.4.4", None)]
    assert only([*client.events], BindChannel) == [BindChannel(1, 0x4000, PUBLIC_PEER)]
    assert error_of(client.bind(0x4000, PUBLIC_PEER)) is None


@pytest.mark.parametrize("number", [0x3FFF, 0x7FFF, 0x8000, 0])
def test_refuses_numbers_that_are_no_channels(number: int) -> None:
    client = Client(make_world())
    client.allocate()

    assert error_of(client.bind(number, PUBLIC_PEER)) == 400


def test_a_channel_and_a_peer_belong_together() -> None:
    client = Client(make_world())
    client.allocate()
    client.bind(0x4000, PUBLIC_PEER)

    assert error_of(client.bind(0x4000, ("8.8.8.8", 1))) == 400
    assert error_of(client.bind(0x4001, PUBLIC_PEER)) == 400
    assert error_of(client.ask(Method.CHANNEL_BIND, [channel_number(0x4000)])) == 400
    assert error_of(client.bind(0x4002, ("127.0.0.1", 1))) == 403


def test_a_send_indication_reaches_a_permitted_peer() -> None:
    client = Client(make_world())
    client.allocate()
    client.permit(PUBLIC_PEER)

    assert client.send_indication(PUBLIC_PEER, b"data") == [
        SendToPeer(1, PUBLIC_PEER, b"data", dont_fragment=False)
    ]
    marked = client.send_indication(PUBLIC_PEER, b"", attribute(Attribute.DONT_FRAGMENT, b""))
    assert marked == [SendToPeer(1, PUBLIC_PEER, b"", dont_fragment=True)]


def test_a_send_indication_without_data_or_permission_goes_nowhere() -> None:
    client = Client(make_world())
    assert client.send_indication(PUBLIC_PEER, b"x") == [Dropped(Drop.NO_PERMISSION)]
    client.allocate()

    assert client.send_indication(PUBLIC_PEER, b"x") == [Dropped(Drop.NO_PERMISSION)]
    assert client.send_indication(PUBLIC_PEER, b"x", (0x7FFF, b"")) == [Dropped(Drop.MALFORMED)]
    empty = encode(Method.SEND, Class.INDICATION, b"transaction!", [])
    assert client.world.receive(empty, client.five_tuple) == [Dropped(Drop.MALFORMED)]


def test_a_permission_lives_five_minutes_and_its_channel_ten() -> None:
    client = Client(make_world())
    client.allocate(lifetime(3600))
    client.bind(0x4000, PUBLIC_PEER)

    assert client.world.sleep(300) == [
        UnbindChannel(1, 0x4000, PUBLIC_PEER),
        Forbid(1, "8.8.4.4"),
    ]
    client.permit(PUBLIC_PEER)
    assert only([*client.events], BindChannel) == [BindChannel(1, 0x4000, PUBLIC_PEER)]
    assert client.world.sleep(299) == []
    client.permit(PUBLIC_PEER)
    assert client.world.sleep(1) == [UnbindChannel(1, 0x4000, PUBLIC_PEER)]
    assert error_of(client.bind(0x4001, PUBLIC_PEER)) is None


def test_a_new_list_of_peers_ends_what_it_no_longer_opens() -> None:
    world = make_world(allowed=())
    client = Client(world)
    client.allocate()
    kept, dropped = ("10.0.0.1", 5000), ("10.0.0.2", 5000)
    world.server.replace_peers([PeerEntry(ip_address(host)) for host, _ in (kept, dropped)])
    client.bind(0x4000, kept)
    client.bind(0x4001, dropped)

    events = world.server.replace_peers([PeerEntry(ip_address("10.0.0.1"), 5000)])

    assert UnbindChannel(1, 0x4001, dropped) in events
    assert Forbid(1, "10.0.0.2") in events
    assert Permit(1, "10.0.0.1", frozenset({5000})) in events
    assert client.send_indication(dropped, b"x") == [Dropped(Drop.NO_PERMISSION)]
    assert client.send_indication(kept, b"x") == [SendToPeer(1, kept, b"x", dont_fragment=False)]


def test_an_entry_with_a_port_opens_that_port_only() -> None:
    world = make_world(allowed=())
    world.server.replace_peers([PeerEntry(ip_address("10.0.0.1"), 5000)])
    client = Client(world)
    client.allocate()

    assert error_of(client.permit(("10.0.0.1", 1))) is None
    assert error_of(client.bind(0x4000, ("10.0.0.1", 5001))) == 403
    events = client.send_indication(("10.0.0.1", 5001), b"x")
    assert events == [PeerDenied(1, "10.0.0.1"), Dropped(Drop.NO_PERMISSION)]
    assert error_of(client.bind(0x4000, ("10.0.0.1", 5000))) is None


def test_all_sessions_can_be_ended() -> None:
    world = make_world()
    for number in range(3):
        Client(world, ("198.51.100.7", 40000 + number)).allocate()

    events = world.server.end_all(SessionEnd.POD_TERMINATED, world.now)

    assert {event.cause for event in only([*events], SessionEnded)} == {SessionEnd.POD_TERMINATED}
    assert world.server.allocations == 0


@pytest.mark.parametrize("message_class", [Class.RESPONSE, Class.ERROR, Class.INDICATION])
@pytest.mark.parametrize("method", [Method.BINDING, Method.ALLOCATE, Method.DATA])
def test_only_requests_are_answered(method: Method, message_class: Class) -> None:
    client = Client(make_world())

    assert client.send(encode(method, message_class, b"transaction!", [])) == []


def test_an_unknown_method_is_ignored() -> None:
    client = Client(make_world())

    client.send(encode(0x00B, Class.REQUEST, b"transaction!", []))

    assert client.events == [Dropped(Drop.MALFORMED)]

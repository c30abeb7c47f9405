"""The security regression list: what TURN servers have been attacked with, one test each.

Two of the list need sockets: ChannelData that overruns its datagram is in `test_dataplane.py`
(`test_channel_data_that_overruns_goes_nowhere`, both planes), the slow reader in `test_stream.py`
(`test_who_does_not_read_loses_data_and_then_the_connection`, both planes, TCP and TLS).
"""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from aioice.stun import Class, Method

from callfleet_relay.events import Drop, Dropped, PeerDenied, Permit, Reply, SendToPeer
from callfleet_relay.message import (
    Address,
    Attribute,
    TcpMethod,
    encode,
    pack_address,
    parse,
)
from callfleet_relay.peers import PUBLIC
from callfleet_relay.recent import GENERATION
from callfleet_relay.reservations import RESERVATION_SECONDS

from .support import (
    REALM,
    START,
    STREAM,
    TCP,
    UDP,
    UNIX,
    V6_RELAY,
    Client,
    World,
    attribute,
    error_of,
    lifetime,
    make_world,
    only,
    plain_credential,
)

FAMILY = [
    attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0"),
    attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0"),
]
"""Of IPv4 and of IPv6."""


def refused_everywhere(peer: Address, allowed: tuple[str, ...] = (PUBLIC,)) -> bool:
    """Whether no way of naming a peer reaches this one."""
    client = Client(make_world(allowed=allowed, second_host=V6_RELAY))
    client.allocate(attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"))
    codes = [error_of(client.permit(peer)), error_of(client.bind(0x4000, peer))]
    events = client.send_indication(peer, b"x")
    over_tcp = Client(client.world, ("198.51.100.7", 40001), listener=STREAM)
    over_tcp.ask(Method.ALLOCATE, [TCP, FAMILY[":" in peer[0]]])
    transaction_id = over_tcp.transaction_id()
    named = attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))
    (reply,) = over_tcp.send(
        over_tcp.build(TcpMethod.CONNECT, [named], transaction_id=transaction_id)
    )
    return [*codes, error_of(reply)] == [403] * 3 and events == [Dropped(Drop.NO_PERMISSION)]


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.255.255.254", "::", "::1"])
def test_cve_2020_26262_loopback_by_the_unspecified_address(host: str) -> None:
    """coturn took 0.0.0.0, [::] and [::1] for other than loopback, which they reach."""
    assert refused_everywhere((host, 80))


@pytest.mark.parametrize("inner", ["127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254"])
def test_cve_2026_27624_ipv4_mapped_addresses_pass_ipv4_rules(inner: str) -> None:
    """coturn compared ::ffff:127.0.0.1 with no IPv4 range, denied or not."""
    peer = (f"::ffff:{inner}", 80)

    assert refused_everywhere(peer)
    assert refused_everywhere(peer, ("::/0", "0.0.0.0/0"))


@pytest.mark.parametrize(
    "host",
    [
        "::7f00:1",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::80ff:fffe",
        "2620:fe::5efe:7f00:1",
        "2620:fe::200:5efe:7f00:1",
    ],
)
def test_encodings_of_special_ranges(host: str) -> None:
    assert refused_everywhere((host, 80))
    assert refused_everywhere((host, 80), ("::/0", PUBLIC))


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    ],
)
def test_metadata_addresses(host: str) -> None:
    assert refused_everywhere((host, 80))


def test_attributes_after_message_integrity() -> None:
    """Nobody signed them: a Refresh is not made a deletion by who adds LIFETIME 0 on the way."""
    client = Client(make_world())
    client.allocate()
    request = client.build(Method.REFRESH)
    added = bytes([0, 0x0D, 0, 4, 0, 0, 0, 0])
    forged = request[:2] + (len(request) - 20 + len(added)).to_bytes(2, "big") + request[4:]

    (reply,) = client.send(forged + added)

    assert error_of(reply) is None
    assert client.world.server.allocations == 1


def test_even_port_leak() -> None:
    """Reserving and never claiming, again and again, takes no port for good."""
    world = make_world(ports=(50000, 50009), capacity=10, per_user=10)
    for round_number in range(20):
        for number in range(5):
            client = Client(world, ("198.51.100.7", 40000 + 10 * round_number + number))
            reserve = attribute(Attribute.EVEN_PORT, b"\x80")
            assert error_of(client.allocate(reserve)) is None
            client.refresh(0)
        world.sleep(RESERVATION_SECONDS)

    clients = [Client(world, ("198.51.100.8", 40000 + number)) for number in range(10)]
    assert [error_of(client.allocate()) for client in clients] == [None] * 10


def test_spoofed_allocates_leave_no_state() -> None:
    world = make_world()
    for number in range(3 * GENERATION):
        client = Client(world, (f"203.0.{number >> 8}.{number & 255}", number % 60_000 + 1))
        client.send(client.build(Method.ALLOCATE, [UDP]))

    server, counted = world.server, world.server._answers._counted
    assert (server.allocations, server.quota.total, server.next_timer()) == (0, 0, None)
    assert len(counted._young | counted._old) <= 2 * GENERATION


def test_mobility_quota_bypass() -> None:
    """Moving an allocation, once or again and again, makes room for no further one."""
    world = make_world(per_user=2, capacity=10)
    wanted = attribute(Attribute.MOBILITY_TICKET, b"")
    here = Client(world, ("198.51.100.7", 40000))
    ticket = here.allocate(wanted).first(Attribute.MOBILITY_TICKET)
    assert error_of(Client(world, ("198.51.100.7", 39999)).allocate(wanted)) is None
    for port in range(40001, 40020):
        there = Client(world, ("198.51.100.7", port))
        reply = there.ask(Method.REFRESH, [attribute(Attribute.MOBILITY_TICKET, ticket or b"")])
        ticket = reply.first(Attribute.MOBILITY_TICKET)
        assert error_of(here.allocate(wanted)) == 437
        assert error_of(there.allocate(wanted)) == 437
        assert error_of(there.refresh()) is None
        assert error_of(here.allocate(wanted)) == 486
        here = there

    assert (world.server.allocations, world.server.quota.total) == (2, 2)
    here.refresh(0)
    assert error_of(here.allocate(wanted)) is None


def test_a_ticket_that_was_overheard_moves_nothing() -> None:
    """It is of no use without the credential, nor within a recorded Refresh."""
    client = Client(make_world())
    reply = client.allocate(attribute(Attribute.MOBILITY_TICKET, b""))
    ticket = attribute(Attribute.MOBILITY_TICKET, reply.first(Attribute.MOBILITY_TICKET) or b"")
    moved = Client(client.world, ("203.0.113.9", 1))
    challenge = client.world.server.authenticator.challenge(moved.address, client.world.now)
    moved.nonce = challenge[1][1]
    recorded = moved.build(Method.REFRESH, [ticket])
    thief = Client(client.world, ("203.0.113.66", 1), plain_credential("mallory"))

    assert error_of(thief.ask(Method.REFRESH, [ticket])) == 441
    assert error_of(thief.send(recorded)[0]) == 438
    assert error_of(client.refresh()) is None


def test_connection_ids_cannot_be_counted() -> None:
    """Who has one learns nothing of the next one, and another's opens nothing."""
    world = make_world()
    client = Client(world, listener=STREAM)
    client.ask(Method.ALLOCATE, [TCP])
    numbers = [
        world.server.tcp.connections.add(1, ("8.8.8.8", port), START.monotonic).number
        for port in range(1, 33)
    ]

    assert len({after - before for before, after in pairwise(numbers)}) == 31
    mallory = Client(world, ("198.51.100.9", 1), plain_credential("mallory"), listener=STREAM)
    value = attribute(Attribute.CONNECTION_ID, numbers[0].to_bytes(4, "big"))
    assert error_of(mallory.ask(TcpMethod.CONNECTION_BIND, [value])) == 400


def test_weak_nonce() -> None:
    """Nonces of different clients and times tell nothing of one another, and serve nobody else."""
    world = make_world()
    seen = set()
    for number in range(200):
        client = Client(world, ("198.51.100.7", 40000 + number))
        (challenge,) = client.send(client.build(Method.ALLOCATE, [UDP]))
        seen.add(challenge.first(Attribute.NONCE))
    bits = [int.from_bytes((nonce or b"")[19:], "big").bit_count() for nonce in seen]

    assert len(seen) == 200
    assert statistics.pstdev(bits) > 0
    thief = Client(world, ("198.51.100.8", 40000), nonce=seen.pop())
    assert error_of(thief.send(thief.build(Method.ALLOCATE, [UDP]))[0]) == 438


def test_port_pool_is_full_after_a_fuzz() -> None:
    """Whatever clients do and leave undone, every port comes back."""
    world = make_world(ports=(50000, 50019), capacity=20, per_user=20)
    credential = plain_credential(expires=UNIX + 80_000)
    for number in range(200):
        client = Client(world, ("198.51.100.7", 40000 + number), credential)
        world.refused_ports = {50000 + number % 20, 50000 + (number * 7) % 20}
        client.allocate(*ODD_REQUESTS[number % len(ODD_REQUESTS)])
        if number % 3:
            client.refresh(0)
        world.sleep(number % 40)
    world.refused_ports = set()
    world.sleep(4000)

    clients = [Client(world, ("198.51.100.8", number + 1), credential) for number in range(20)]
    assert [error_of(client.allocate()) for client in clients] == [None] * 20


ODD_REQUESTS: list[list[tuple[int, bytes]]] = [
    [],
    [attribute(Attribute.EVEN_PORT, b"\x80")],
    [attribute(Attribute.EVEN_PORT, b"\0")],
    [attribute(Attribute.RESERVATION_TOKEN, bytes(8))],
    [attribute(Attribute.EVEN_PORT, b"\x80"), lifetime(3600)],
    [attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")],
    [(0x7FFF, b"")],
]


def test_identical_replies_for_unknown_user_and_wrong_password() -> None:
    """Byte for byte: who guesses learns no names. Long-term users and REST names alike."""
    world = make_world(users="alice:password\n")
    rest = plain_credential("carol").username
    expired = plain_credential("dave", expires=1.0)
    replies = set()
    for username, key in (
        ("alice", b"wrong"),
        ("nobody", b"wrong"),
        (rest, b"wrong"),
        ("0:", b"wrong"),
        (expired.username, expired.key),
    ):
        replies.add(answer_to(world, username, key))

    assert len(replies) == 1
    assert error_of(parse(replies.pop())) == 401


def answer_to(world: World, username: str, key: bytes) -> bytes:
    client = Client(world)
    challenge = world.server.authenticator.challenge(client.address, world.now)
    body = [
        UDP,
        attribute(Attribute.USERNAME, username.encode()),
        attribute(Attribute.REALM, REALM.encode()),
        (Attribute.NONCE, challenge[1][1]),
    ]
    request = encode(Method.ALLOCATE, Class.REQUEST, b"transaction!", body, key=key)
    (event,) = only(world.receive(request, client.five_tuple), Reply)
    return event.data


def test_nothing_is_relayed_without_a_permission() -> None:
    client = Client(make_world())
    client.allocate()

    for host in ("8.8.8.8", "8.8.4.4", "1.1.1.1"):
        client.permit((host, 1))
        assert only(client.events, Permit)[0].host == host
        assert only(client.send_indication((host, 9), b"x"), SendToPeer)
        assert not only(client.send_indication(("9.9.9.9", 9), b"x"), SendToPeer)
    client.permit(("10.0.0.1", 1))
    assert only(client.events, PeerDenied)


def test_a_recorded_request_serves_nobody_at_another_address() -> None:
    """A Refresh that was overheard deletes no allocation from elsewhere, nor an hour later."""
    client = Client(make_world())
    client.allocate(lifetime(3600))
    recorded = client.build(Method.REFRESH, [lifetime(0)])
    thief = Client(client.world, ("198.51.100.66", client.address[1]))

    assert error_of(thief.send(recorded)[0]) == 438

    assert client.world.server.allocations == 1

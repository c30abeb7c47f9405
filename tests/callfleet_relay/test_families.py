"""Relayed addresses of IPv4, of IPv6, and of both in one allocation (RFC 8656 sections 7.2, 8)."""

from __future__ import annotations

from aioice.stun import Method

from callfleet_relay.events import (
    BindChannel,
    CloseRelay,
    Forbid,
    OpenRelay,
    SendToPeer,
    SessionEnd,
    SessionEnded,
    UnbindChannel,
)
from callfleet_relay.message import Attribute

from .support import (
    PUBLIC_PEER,
    V6_PEER,
    V6_RELAY,
    Client,
    attribute,
    error_of,
    lifetime,
    make_world,
    only,
    relayed_of,
    seconds_of,
)

IPV4 = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0")
IPV6 = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")
BOTH = attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")


def both_families() -> Client:
    """A client with an address of each family."""
    client = Client(make_world(second_host=V6_RELAY))
    assert error_of(client.allocate(BOTH)) is None
    return client


def test_a_family_is_what_is_asked_for_or_ipv4() -> None:
    for asked, family in (((), 4), ((IPV4,), 4), ((IPV6,), 6)):
        client = Client(make_world(second_host=V6_RELAY))

        (address,) = relayed_of(client.allocate(*asked))

        assert (":" in address[0]) == (family == 6)
        assert only(client.events, OpenRelay)[0].families == (family,)


def test_both_families_come_in_one_answer_on_one_port() -> None:
    client = Client(make_world(second_host=V6_RELAY))

    reply = client.allocate(BOTH)

    (first, second) = relayed_of(reply)
    assert (first[0], second[0]) == ("192.0.2.1", V6_RELAY)
    assert first[1] == second[1]
    assert reply.first(Attribute.ADDRESS_ERROR_CODE) is None
    assert only(client.events, OpenRelay)[0].families == (4, 6)
    assert client.world.server.allocations == 1


def test_a_second_family_is_declined_beside_the_first() -> None:
    for world, declined in (
        (make_world(), 2),
        (make_world(relay_host=V6_RELAY), 1),
    ):
        reply = Client(world).allocate(BOTH)

        assert error_of(reply) is None
        assert len(relayed_of(reply)) == 1
        assert reply.first(Attribute.ADDRESS_ERROR_CODE) == bytes([declined, 0, 4, 40])


def test_an_ipv6_relay_serves_ipv6_only() -> None:
    client = Client(make_world(relay_host=V6_RELAY))

    assert error_of(client.allocate()) == 440
    assert error_of(client.allocate(IPV6)) is None
    assert error_of(client.permit(PUBLIC_PEER)) == 443
    assert error_of(client.bind(0x4000, PUBLIC_PEER)) == 443
    assert error_of(client.permit(V6_PEER)) is None


def test_peers_of_both_families_are_reached() -> None:
    client = both_families()

    assert error_of(client.permit(PUBLIC_PEER, V6_PEER)) is None
    for peer in (PUBLIC_PEER, V6_PEER):
        assert client.send_indication(peer, b"x") == [SendToPeer(1, peer, b"x", False)]
    assert error_of(client.bind(0x4000, V6_PEER)) is None
    assert only(client.events, BindChannel) == [BindChannel(1, 0x4000, V6_PEER)]


def test_deleting_one_family_leaves_the_other() -> None:
    client = both_families()
    client.bind(0x4000, V6_PEER)
    client.bind(0x4001, PUBLIC_PEER)

    reply = client.ask(Method.REFRESH, [IPV6, lifetime(0)])

    assert seconds_of(reply) == 0
    assert client.events[:-1] == [
        UnbindChannel(1, 0x4000, V6_PEER),
        Forbid(1, V6_PEER[0]),
        CloseRelay(1, 6),
    ]
    assert error_of(client.permit(V6_PEER)) == 443
    assert error_of(client.ask(Method.REFRESH, [IPV6])) == 443
    assert client.send_indication(PUBLIC_PEER, b"x") == [SendToPeer(1, PUBLIC_PEER, b"x", False)]
    client.ask(Method.REFRESH, [IPV4, lifetime(0)])
    assert only(client.events, SessionEnded)[0].cause is SessionEnd.DELETED
    assert client.world.server.allocations == 0


def test_refreshing_one_family_lets_the_other_expire() -> None:
    client = both_families()
    client.world.sleep(300)
    assert seconds_of(client.ask(Method.REFRESH, [IPV4])) == 600

    assert client.world.sleep(300) == [CloseRelay(1, 6)]

    (ended,) = client.world.sleep(300)
    assert isinstance(ended, SessionEnded)
    assert ended.cause is SessionEnd.EXPIRED


def test_a_refresh_without_a_family_means_both() -> None:
    client = both_families()
    client.world.sleep(599)

    assert seconds_of(client.refresh()) == 600

    assert client.world.sleep(599) == []
    assert seconds_of(client.refresh(0)) == 0
    assert only(client.events, SessionEnded)


def test_a_dual_allocation_is_answered_alike_when_it_is_asked_again() -> None:
    client = Client(make_world(second_host=V6_RELAY))
    client.ask(Method.REFRESH)
    request = client.build(Method.ALLOCATE, [(0x0019, b"\x11\0\0\0"), BOTH])

    assert client.send(request) == client.send(request)

"""Relayed addresses of a relay as peers of its own clients."""

from __future__ import annotations

from callfleet_relay.events import PeerDenied, SendToPeer, UnbindChannel
from callfleet_relay.hairpin import RelayedPeers
from callfleet_relay.message import Address

from .support import Client, World, error_of, make_world, only, relayed_of

RELAY = "192.0.2.1"


def two_clients(*, hairpin: bool) -> tuple[Client, Client, Address]:
    """Two clients, the second with the relayed address that is returned."""
    world = make_world(
        allowed=["192.0.2.0/24"], relayed_hosts=() if hairpin else (RELAY,), ports=(50000, 50009)
    )
    first, second = client_of(world, 1), client_of(world, 2)
    first.allocate()
    (relayed,) = relayed_of(second.allocate())
    return first, second, relayed


def client_of(world: World, number: int) -> Client:
    return Client(world, ("198.51.100.7", 40000 + number))


def test_relayed_addresses_are_no_peers_by_default() -> None:
    first, _, relayed = two_clients(hairpin=False)

    assert error_of(first.bind(0x4000, relayed)) == 403
    assert only(first.events, PeerDenied)
    first.permit(relayed)
    assert only(first.send_indication(relayed, b"x"), SendToPeer) == []


def test_hairpin_can_be_allowed() -> None:
    first, _, relayed = two_clients(hairpin=True)

    assert error_of(first.bind(0x4000, relayed)) is None
    assert only(first.send_indication(relayed, b"x"), SendToPeer)


def test_other_programs_of_the_same_host_are_peers() -> None:
    first, second, relayed = two_clients(hairpin=False)
    second.refresh(0)

    assert error_of(first.bind(0x4000, relayed)) is None
    assert only(first.send_indication(relayed, b"x"), SendToPeer)


def test_a_channel_ends_when_its_peer_becomes_a_relayed_address() -> None:
    world = make_world(allowed=["192.0.2.0/24"], relayed_hosts=(RELAY,), ports=(50000, 50001))
    first, second = client_of(world, 1), client_of(world, 2)
    (own,) = relayed_of(first.allocate())
    free = (RELAY, 100_001 - own[1])
    assert error_of(first.bind(0x4000, free)) is None

    assert relayed_of(second.allocate()) == [free]

    assert only(second.events, UnbindChannel) == [UnbindChannel(1, 0x4000, free)]
    assert error_of(first.bind(0x4000, free)) == 403
    assert only(first.send_indication(free, b"x"), SendToPeer) == []


def test_ended_sessions_leave_nothing_behind() -> None:
    peers = RelayedPeers([RELAY])
    peers.opened(50000)
    peers.bound(1, (RELAY, 50001))
    peers.bound(1, (RELAY, 50002))
    peers.bound(2, (RELAY, 50001))
    peers.bound(2, ("8.8.8.8", 1))

    peers.closed(1, 50000)

    assert (RELAY, 50000) not in peers
    assert peers.opened(50001) == [(2, (RELAY, 50001))]
    assert peers.opened(50002) == []
    peers.closed(2, 50001)
    assert peers.opened(50001) == []

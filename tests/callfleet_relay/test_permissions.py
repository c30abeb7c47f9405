from __future__ import annotations

from ipaddress import ip_address

from aioice.stun import Method

from callfleet_relay.events import (
    BindChannel,
    Drop,
    Dropped,
    Forbid,
    PeerDenied,
    Permit,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import Attribute
from callfleet_relay.peers import PeerEntry
from callfleet_relay.permissions import MAX_PERMISSIONS

from .support import PUBLIC_PEER, Client, attribute, error_of, lifetime, make_world, only


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

"""ICMP errors as Data indications (RFC 8656 sections 11.5 and 18.13)."""

from __future__ import annotations

import pytest
from aioice.stun import Class, Method

from callfleet_relay.allocation import ICMP_RATE
from callfleet_relay.events import Drop, Dropped, Reply
from callfleet_relay.message import Attribute, IcmpError, Message, parse, unpack_address

from .support import PUBLIC_PEER, V6_PEER, V6_RELAY, Client, make_world, only


def client_with_permission() -> Client:
    client = Client(make_world(second_host=V6_RELAY))
    client.allocate((int(Attribute.ADDITIONAL_ADDRESS_FAMILY), b"\2\0\0\0"))
    client.permit(PUBLIC_PEER, V6_PEER)
    return client


def told(client: Client, error: IcmpError, session: int = 1) -> list[Message]:
    events = client.world.server.icmp_received(session, error, client.world.now)
    return [parse(event.data) for event in only(events, Reply)]


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (IcmpError(PUBLIC_PEER, 3, 3, 0), "0000 0603 0000 0000"),
        (IcmpError(PUBLIC_PEER, 3, 4, 1400), "0000 0604 0000 0578"),
        (IcmpError(PUBLIC_PEER, 11, 0, 99), "0000 1600 0000 0000"),
        (IcmpError(V6_PEER, 1, 4, 0), "0000 0204 0000 0000"),
        (IcmpError(V6_PEER, 2, 0, 1280), "0000 0400 0000 0500"),
        (IcmpError(V6_PEER, 3, 1, 0), "0000 0601 0000 0000"),
    ],
)
def test_the_client_is_told_of_what_concerns_its_peer(error: IcmpError, value: str) -> None:
    (message,) = told(client_with_permission(), error)

    assert (message.method, message.message_class) == (Method.DATA, Class.INDICATION)
    peer = message.first(Attribute.XOR_PEER_ADDRESS)
    assert peer is not None
    assert unpack_address(peer, message.transaction_id) == error.peer
    assert message.first(Attribute.ICMP) == bytes.fromhex(value)
    assert message.first(Attribute.DATA) is None


@pytest.mark.parametrize(
    "error",
    [
        IcmpError(("8.8.8.8", 5000), 3, 3, 0),
        IcmpError(PUBLIC_PEER, 8, 0, 0),
        IcmpError(PUBLIC_PEER, 1, 0, 0),
        IcmpError(V6_PEER, 11, 0, 0),
        IcmpError(V6_PEER, 4, 0, 0),
        IcmpError(PUBLIC_PEER, 3, 600, 0),
    ],
)
def test_what_no_permission_or_kind_covers_is_dropped(error: IcmpError) -> None:
    assert told(client_with_permission(), error) == []


def test_nobody_is_told_after_the_permission_or_the_session() -> None:
    client = client_with_permission()
    error = IcmpError(PUBLIC_PEER, 3, 3, 0)

    assert told(client, error, session=2) == []
    client.world.sleep(301)
    assert told(client, error) == []


def test_a_storm_of_errors_is_told_at_a_rate() -> None:
    client = client_with_permission()
    server = client.world.server
    error = IcmpError(PUBLIC_PEER, 3, 3, 0)
    storm = [server.icmp_received(1, error, client.world.now) for _ in range(50)]

    assert [len(only(events, Reply)) for events in storm] == [1] * int(ICMP_RATE) + [0] * 40
    assert storm[-1] == [Dropped(Drop.ICMP_RATE)]
    client.world.sleep(1)
    assert len(told(client, error)) == 1

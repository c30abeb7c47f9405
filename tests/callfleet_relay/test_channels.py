from __future__ import annotations

import pytest
from aioice.stun import Method

from callfleet_relay.events import BindChannel, Permit
from callfleet_relay.permissions import MAX_CHANNELS

from .support import PUBLIC_PEER, Client, channel_number, error_of, make_world, only


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

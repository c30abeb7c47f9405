from __future__ import annotations

from aioice.stun import Class, Method

from callfleet_relay.events import Drop, Dropped, SendToPeer
from callfleet_relay.message import Attribute, encode

from .support import PUBLIC_PEER, Client, attribute, error_of, make_world


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


def test_dont_fragment_is_understood() -> None:
    client = Client(make_world())

    assert error_of(client.allocate(attribute(Attribute.DONT_FRAGMENT, b""))) is None

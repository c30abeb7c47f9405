from __future__ import annotations

import pytest
from aioice.stun import Class, Method

from callfleet_relay.events import Drop, Dropped
from callfleet_relay.message import Attribute, encode, unpack_address

from .support import Client, error_of, make_world


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


@pytest.mark.parametrize("message_class", [Class.RESPONSE, Class.ERROR, Class.INDICATION])
@pytest.mark.parametrize("method", [Method.BINDING, Method.ALLOCATE, Method.DATA])
def test_only_requests_are_answered(method: Method, message_class: Class) -> None:
    client = Client(make_world())

    assert client.send(encode(method, message_class, b"transaction!", [])) == []


def test_an_unknown_method_is_ignored() -> None:
    client = Client(make_world())

    client.send(encode(0x00D, Class.REQUEST, b"transaction!", []))

    assert client.events == [Dropped(Drop.MALFORMED)]

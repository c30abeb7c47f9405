from __future__ import annotations

import contextlib
import struct

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.stun_check import (
    MalformedStun,
    authenticated,
    is_keepalive,
    local_ufrag,
    role_conflict,
    success,
)

PASSWORD = b"p" * 24


def check(username: str = "server:client", **attributes: object) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes = {"USERNAME": username, "PRIORITY": 1, **attributes}
    return message


def signed(message: stun.Message, password: bytes = PASSWORD) -> bytes:
    message.add_message_integrity(password)
    return bytes(message)


def raw(body: bytes, kind: int = 1, cookie: int = stun.COOKIE) -> bytes:
    return struct.pack("!HHI12s", kind, len(body), cookie, bytes(12)) + body


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def test_a_check_is_read_and_verified() -> None:
    data = signed(check())
    assert local_ufrag(data) == b"server"
    found = authenticated(data, PASSWORD)
    assert found is not None
    assert found.attributes["USERNAME"] == "server:client"
    assert authenticated(data, b"another password") is None
    assert authenticated(bytes(check()), PASSWORD) is None


def test_what_follows_the_integrity_is_not_believed() -> None:
    data = signed(check())
    head, fingerprint = data[:-8], 8
    forged = head + attribute(0x25, b"")
    forged = forged[:2] + struct.pack("!H", len(forged) - 20) + forged[4:]
    assert fingerprint
    found = authenticated(forged, PASSWORD)
    assert found is not None
    assert "USE-CANDIDATE" not in found.attributes


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "shorter"),
        (bytes(19), "shorter"),
        (raw(b"", kind=0x0101), "not a Binding request"),
        (raw(b"", kind=0x0003), "not a Binding request"),
        (raw(b"", cookie=1), "not a Binding request"),
        (raw(b"") + b"\0\0\0\0", "length"),
        (raw(b"\0"), "length"),
        (raw(struct.pack("!HH", 6, 8)), "overruns"),
        (raw(attribute(0x24, bytes(4))), "no USERNAME"),
        (raw(attribute(6, b"server")), "colon"),
        (raw(attribute(6, b"a:b") * 40), "too many"),
    ],
)
def test_what_is_no_check_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedStun, match=why):
        local_ufrag(data)


def test_an_attribute_of_a_wrong_length_is_malformed() -> None:
    """aioice's parser lets struct.error out."""
    data = raw(attribute(6, b"server:client") + attribute(0x24, b"123"))
    with pytest.raises(struct.error):
        stun.parse_message(data)
    with pytest.raises(MalformedStun):
        authenticated(data, PASSWORD)


@given(st.binary(max_size=120), st.booleans())
def test_any_datagram_is_taken(body: bytes, whole: bool) -> None:
    data = raw(body) if whole else body
    is_keepalive(data)
    with contextlib.suppress(MalformedStun):
        local_ufrag(data)
    with contextlib.suppress(MalformedStun):
        assert authenticated(data, PASSWORD) is None


@pytest.mark.parametrize("source", [("192.0.2.1", 4000), ("2001:db8::1", 4000, 0, 0)])
def test_answers_are_those_aioice_expects(source: tuple[str, int]) -> None:
    request = check()
    answer = stun.parse_message(success(request, source, PASSWORD))
    assert answer.message_class == stun.Class.RESPONSE
    assert answer.transaction_id == request.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == source[:2]
    assert answer.check_message_integrity(PASSWORD)
    theirs = stun.Message(
        stun.Method.BINDING,
        stun.Class.RESPONSE,
        transaction_id=request.transaction_id,
        attributes={"XOR-MAPPED-ADDRESS": source[:2]},
    )
    assert success(request, source, PASSWORD) == signed(theirs)
    refusal = stun.parse_message(role_conflict(request, PASSWORD))
    assert refusal.error_code == 487
    assert refusal.check_message_integrity(PASSWORD)

"""ICE connectivity checks as a lite agent takes and answers them (RFC 8445 section 7.3). No I/O.

Messages are aioice's; what its parser lets through (a wrong cookie, attributes that overrun) is
refused here, and a check of a user that nobody knows costs a look at its USERNAME only.
"""

from __future__ import annotations

import hmac
import socket
import struct

from aioice import stun

_HEADER = struct.Struct("!HHI")
_ATTRIBUTE = struct.Struct("!HH")
_MAPPED = struct.Struct("!HHxBH")
_FINGERPRINT = struct.Struct("!HHI")
_COOKIE = stun.COOKIE.to_bytes(4, "big")
_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_XOR_MAPPED_ADDRESS = 0x0020
_FINGERPRINT_TYPE = 0x8028
_MAX_ATTRIBUTES = 32

ROLE_CONFLICT = (487, "Role Conflict")

Address = tuple[str, int] | tuple[str, int, int, int]
"""What a socket of IPv4 or IPv6 names a peer by."""


class MalformedStun(ValueError):  # noqa: N818 - what the datagram is
    """A datagram that begins like STUN and is none that a lite agent takes."""


def is_keepalive(data: bytes) -> bool:
    """Whether it is a Binding indication (RFC 8445 section 11): nothing is to be done."""
    return data[:2] == b"\x00\x11"


def local_ufrag(data: bytes) -> bytes:
    """Whom a check is for: the part of USERNAME before the colon (RFC 8445 section 7.2.2).

    Raises MalformedStun for everything but a Binding request with whole attributes.
    """
    if len(data) < stun.HEADER_LENGTH:
        raise MalformedStun("shorter than a STUN header")
    kind, length, cookie = _HEADER.unpack_from(data)
    if kind != _BINDING_REQUEST or cookie != stun.COOKIE:
        raise MalformedStun("not a Binding request")
    if length + stun.HEADER_LENGTH != len(data) or length % 4:
        raise MalformedStun("a wrong length")
    found = None
    at = stun.HEADER_LENGTH
    for _ in range(_MAX_ATTRIBUTES):
        if at == len(data):
            break
        attribute, size = _ATTRIBUTE.unpack_from(data, at)
        end = at + 4 + size
        if end > len(data):
            raise MalformedStun("an attribute overruns the message")
        if attribute == _USERNAME and found is None:
            found = data[at + 4 : end]
        at = end + (-size % 4)
    else:
        raise MalformedStun("too many attributes")
    if found is None:
        raise MalformedStun("no USERNAME")
    ufrag, colon, _ = found.partition(b":")
    if not colon:
        raise MalformedStun("a USERNAME without a colon")
    return ufrag


def authenticated(data: bytes, password: bytes) -> stun.Message | None:
    """The check if its MESSAGE-INTEGRITY (RFC 8489 section 9.1.3) is this password's, else None.

    Raises MalformedStun.
    """
    try:
        message = stun.parse_message(data)
    except (ValueError, struct.error) as error:  # struct.error: an attribute of a wrong length
        raise MalformedStun(str(error)) from error
    return message if message.check_message_integrity(password) else None


def success(check: stun.Message, source: Address, password: bytes) -> bytes:
    """The answer that tells the client its own address; written here, for every connection
    begins with a few of them."""
    host, port = source[:2]
    family, number = (socket.AF_INET6, 2) if ":" in host else (socket.AF_INET, 1)
    address = socket.inet_pton(family, host)
    mask = (_COOKIE + check.transaction_id)[: len(address)]
    mapped = _MAPPED.pack(
        _XOR_MAPPED_ADDRESS, 4 + len(address), number, port ^ (stun.COOKIE >> 16)
    ) + bytes(a ^ b for a, b in zip(address, mask, strict=True))
    covered = _success_header(check, len(mapped) + stun.INTEGRITY_LENGTH) + mapped
    integrity = _ATTRIBUTE.pack(_MESSAGE_INTEGRITY, 20) + hmac.digest(password, covered, "sha1")
    length = len(mapped) + stun.INTEGRITY_LENGTH + stun.FINGERPRINT_LENGTH
    message = _success_header(check, length) + mapped + integrity
    return message + _FINGERPRINT.pack(_FINGERPRINT_TYPE, 4, stun.message_fingerprint(message))


def _success_header(check: stun.Message, length: int) -> bytes:
    return _HEADER.pack(_BINDING_SUCCESS, length, stun.COOKIE) + check.transaction_id


def role_conflict(check: stun.Message, password: bytes) -> bytes:
    """The answer to a client that takes itself for controlled: a lite agent always is.

    RFC 8445 sections 6.1.1 and 7.3.1.1; the client then becomes controlling and checks again.
    """
    return _signed(check, stun.Class.ERROR, {"ERROR-CODE": ROLE_CONFLICT}, password)


def _signed(
    check: stun.Message, answer: stun.Class, attributes: dict[str, object], password: bytes
) -> bytes:
    message = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=answer,
        transaction_id=check.transaction_id,
        attributes=attributes,
    )
    message.add_message_integrity(password)
    return bytes(message)

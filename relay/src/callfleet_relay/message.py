"""STUN messages and ChannelData as bytes (RFC 8489 section 5, RFC 8656 section 12.4).

The parser is strict where aioice's is not: it checks the magic cookie, refuses an attribute that
reaches past the end, keeps unknown and repeated attributes, and bounds their number. Values are
packed and unpacked by `aioice.stun`.
"""

from __future__ import annotations

import hmac
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from aioice.stun import (
    COOKIE,
    FINGERPRINT_LENGTH,
    HEADER_LENGTH,
    INTEGRITY_LENGTH,
    Class,
    Method,
    message_fingerprint,
    message_integrity,
    pack_error_code,
    pack_xor_address,
    padding_length,
    unpack_xor_address,
)

Address = tuple[str, int]
"""IP address as `inet_ntop` writes it, and port."""

MAX_ATTRIBUTES = 64
"""A CreatePermission may carry many peers; nothing real carries more attributes than this."""

CHANNEL_HEADER_LENGTH = 4
FIRST_CHANNEL = 0x4000
LAST_CHANNEL = 0x7FFE
"""RFC 8656 ends at 0x4FFF; clients of RFC 5766 (coturn's tools among them) use all of its range."""

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_CLASS_BITS = 0x0110
_METHOD_BITS = 0x3EEF


class Attribute(IntEnum):
    """Attribute types that this server understands or sends."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028


_UNDERSTOOD = frozenset(Attribute)
_FIRST_OPTIONAL = 0x8000


class MalformedMessageError(ValueError):
    """The datagram is not a well-formed STUN message; RFC 8489 section 6.3 has it discarded."""


@dataclass(frozen=True, slots=True)
class Message:
    """A STUN message whose framing holds; what its attributes say is not yet checked."""

    method: int
    message_class: Class
    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...]
    has_fingerprint: bool
    signed: bytes | None
    """What MESSAGE-INTEGRITY covers; None without that attribute."""

    def first(self, attribute: Attribute) -> bytes | None:
        """The value that counts when an attribute is repeated (RFC 8489 section 14)."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    def every(self, attribute: Attribute) -> list[bytes]:
        """All values of an attribute that may be repeated, in their order."""
        return [value for kind, value in self.attributes if kind == attribute]

    def unknown_required(self) -> list[int]:
        """Types that must be understood and are not, each once (RFC 8489 section 6.3.1)."""
        kinds = (kind for kind, _ in self.attributes)
        return list(dict.fromkeys(k for k in kinds if k < _FIRST_OPTIONAL and k not in _UNDERSTOOD))

    def has_integrity(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and was made with `key`."""
        value = self.first(Attribute.MESSAGE_INTEGRITY)
        if self.signed is None or value is None:
            return False
        return hmac.compare_digest(value, message_integrity(self.signed, key))


def parse(data: bytes) -> Message:
    """Read one datagram.

    Attributes behind MESSAGE-INTEGRITY are ignored, as nobody signed them; FINGERPRINT alone may
    follow. Raises `MalformedMessageError`.
    """
    if len(data) < HEADER_LENGTH:
        raise MalformedMessageError("shorter than a STUN header")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind & 0xC000 or cookie != COOKIE:
        raise MalformedMessageError("not STUN")
    if length % 4 or length + HEADER_LENGTH != len(data):
        raise MalformedMessageError("length field and datagram disagree")
    attributes, signed, has_fingerprint = _attributes(data)
    return Message(
        method=kind & _METHOD_BITS,
        message_class=Class(kind & _CLASS_BITS),
        transaction_id=transaction_id,
        attributes=tuple(attributes),
        has_fingerprint=has_fingerprint,
        signed=signed,
    )


def _attributes(data: bytes) -> tuple[list[tuple[int, bytes]], bytes | None, bool]:
    found: list[tuple[int, bytes]] = []
    signed: bytes | None = None
    position, count = HEADER_LENGTH, 0
    while position < len(data):
        count += 1
        if count > MAX_ATTRIBUTES:
            raise MalformedMessageError("too many attributes")
        # The body is a multiple of 4 long and so is each step: the header always fits.
        kind, length = _ATTRIBUTE.unpack_from(data, position)
        end = position + 4 + length
        if end + padding_length(length) > len(data):
            raise MalformedMessageError("an attribute reaches past the end")
        value = data[position + 4 : end]
        if kind == Attribute.FINGERPRINT:
            _check_fingerprint(data, position, value)
            return found, signed, True
        if signed is None:
            if kind == Attribute.MESSAGE_INTEGRITY:
                if length != INTEGRITY_LENGTH - 4:
                    raise MalformedMessageError("MESSAGE-INTEGRITY is not 20 bytes")
                signed = data[:position]
            found.append((kind, value))
        position = end + padding_length(length)
    return found, signed, False


def _check_fingerprint(data: bytes, position: int, value: bytes) -> None:
    if position + FINGERPRINT_LENGTH != len(data):
        raise MalformedMessageError("FINGERPRINT is not the last attribute")
    if int.from_bytes(value, "big") != message_fingerprint(data[:position]):
        raise MalformedMessageError("FINGERPRINT does not match")


def encode(
    method: int,
    message_class: Class,
    transaction_id: bytes,
    attributes: Iterable[tuple[int, bytes]],
    *,
    key: bytes | None = None,
    fingerprint: bool = False,
) -> bytes:
    """Write a message; with `key` it carries MESSAGE-INTEGRITY, made over all before it."""
    body = b"".join(_tlv(kind, value) for kind, value in attributes)
    data = _HEADER.pack(method | message_class, len(body), COOKIE, transaction_id) + body
    if key is not None:
        data = _append(data, Attribute.MESSAGE_INTEGRITY, message_integrity(data, key))
    if fingerprint:
        crc = message_fingerprint(data)
        data = _append(data, Attribute.FINGERPRINT, crc.to_bytes(4, "big"))
    return data


def _tlv(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(padding_length(len(value)))


def _append(data: bytes, kind: int, value: bytes) -> bytes:
    data += _tlv(kind, value)
    return data[:2] + (len(data) - HEADER_LENGTH).to_bytes(2, "big") + data[4:]


def pack_address(address: Address, transaction_id: bytes) -> bytes:
    """Value of an XOR-...-ADDRESS attribute (RFC 8489 section 14.2)."""
    return pack_xor_address(address, transaction_id)


def unpack_address(value: bytes, transaction_id: bytes) -> Address:
    """Address in an XOR-...-ADDRESS attribute, as the kernel writes it. Raises ValueError."""
    host, port = unpack_xor_address(value, transaction_id)
    if ":" in host:
        host = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
    return host, port


def error_code(code: int, reason: str) -> tuple[int, bytes]:
    """The attribute ERROR-CODE (RFC 8489 section 14.8)."""
    return Attribute.ERROR_CODE, pack_error_code((code, reason))


def data_indication(peer: Address, payload: bytes | memoryview, transaction_id: bytes) -> bytes:
    """A Data indication for what `peer` sent (RFC 8656 section 11.4)."""
    return encode(
        Method.DATA,
        Class.INDICATION,
        transaction_id,
        [
            (Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id)),
            (Attribute.DATA, bytes(payload)),
        ],
    )

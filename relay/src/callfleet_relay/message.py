"""STUN messages and ChannelData as bytes (RFC 8489 section 5, RFC 8656 section 12.4).

The parser is strict where aioice's is not: it checks the magic cookie, refuses an attribute that
reaches past the end, keeps unknown and repeated attributes, and bounds their number. Values are
packed and unpacked by `aioice.stun`, which knows nothing of MESSAGE-INTEGRITY-SHA256.
"""

from __future__ import annotations

import hmac
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

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
    set_body_length,
    unpack_xor_address,
)
from aioice.stun import pack_address as pack_plain_address

Address = tuple[str, int]
"""IP address as `inet_ntop` writes it, and port."""

MAX_ATTRIBUTES = 64
"""A CreatePermission may carry many peers; nothing real carries more attributes than this."""

CHANNEL_HEADER_LENGTH = 4
FIRST_CHANNEL = 0x4000
LAST_CHANNEL = 0x7FFE
"""RFC 8656 ends at 0x4FFF; clients of RFC 5766 (coturn's tools among them) use all of its range."""

SHA256_LENGTH = 32
"""TURN does not allow a truncated MESSAGE-INTEGRITY-SHA256 (RFC 8489 section 14.6)."""

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_CLASS_BITS = 0x0110
_METHOD_BITS = 0x3EEF


class TcpMethod(IntEnum):
    """Methods of RFC 6062 section 6.1, which aioice does not have."""

    CONNECT = 0x000A
    CONNECTION_BIND = 0x000B
    CONNECTION_ATTEMPT = 0x000C


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
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    CONNECTION_ID = 0x002A
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ICMP = 0x8004
    SOFTWARE = 0x8022
    MOBILITY_TICKET = 0x8030
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028


_UNDERSTOOD = frozenset(Attribute)
_FIRST_OPTIONAL = 0x8000


class IcmpError(NamedTuple):
    """An ICMP message about a datagram that was sent from a relayed address."""

    peer: Address
    """Where the datagram went; port 0 where the system does not tell it."""
    kind: int
    code: int
    mtu: int
    """Of the next hop, where the message is about fragmentation; else 0."""

    @property
    def is_relayed(self) -> bool:
        """Whether clients are told of its kind (RFC 8656 section 11.5)."""
        kinds = (1, 2, 3) if ":" in self.peer[0] else (3, 11)
        return self.kind in kinds and 0 <= self.code <= 0xFF

    @property
    def data(self) -> int:
        """Error Data of the attribute: the MTU where the kind has one (RFC 8656 section 18.13)."""
        of_mtu = self.kind == 2 if ":" in self.peer[0] else (self.kind, self.code) == (3, 4)
        return self.mtu if of_mtu else 0


class MalformedMessageError(ValueError):
    """The datagram is not a well-formed STUN message; RFC 8489 section 6.3 has it discarded."""


@dataclass(frozen=True, slots=True)
class IntegrityKey:
    """A key, and which of the two integrity attributes is made with it."""

    value: bytes
    sha256: bool = False


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
    signed_sha256: bytes | None = None
    """What MESSAGE-INTEGRITY-SHA256 covers; None without that attribute."""

    @property
    def is_signed(self) -> bool:
        """Whether it carries integrity of either kind, right or wrong."""
        return self.signed is not None or self.signed_sha256 is not None

    def first(self, attribute: Attribute) -> bytes | None:
        """The value that counts when an attribute is repeated (RFC 8489 section 14)."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    def lacks(self, *attributes: Attribute) -> bool:
        """Whether it has none of these."""
        return not any(kind in attributes for kind, _ in self.attributes)

    def every(self, attribute: Attribute) -> list[bytes]:
        """All values of an attribute that may be repeated, in their order."""
        return [value for kind, value in self.attributes if kind == attribute]

    def unknown_required(self, unsupported: frozenset[int] = frozenset()) -> list[int]:
        """Types that must be understood and are not, each once (RFC 8489 section 6.3.1).

        `unsupported` counts as not understood.
        """
        known = _UNDERSTOOD - unsupported
        kinds = (kind for kind, _ in self.attributes)
        return list(dict.fromkeys(k for k in kinds if k < _FIRST_OPTIONAL and k not in known))

    def has_integrity(self, key: bytes) -> bool:
        """Whether it was signed with `key`; of two signatures the stronger one counts."""
        if self.signed_sha256 is not None:
            value = self.first(Attribute.MESSAGE_INTEGRITY_SHA256)
            expected = integrity_sha256(self.signed_sha256, key)
        elif self.signed is not None:
            value = self.first(Attribute.MESSAGE_INTEGRITY)
            expected = message_integrity(self.signed, key)
        else:
            return False
        return value is not None and hmac.compare_digest(value, expected)


def integrity_sha256(data: bytes, key: bytes) -> bytes:
    """MESSAGE-INTEGRITY-SHA256 over a message that ends before it (RFC 8489 section 14.6)."""
    length = len(data) - HEADER_LENGTH + 4 + SHA256_LENGTH
    return hmac.digest(key, set_body_length(data, length), "sha256")


def parse(data: bytes) -> Message:
    """Read one datagram.

    Attributes behind MESSAGE-INTEGRITY are ignored, as nobody signed them, but for
    MESSAGE-INTEGRITY-SHA256; behind that one FINGERPRINT alone counts. Raises
    `MalformedMessageError`.
    """
    if len(data) < HEADER_LENGTH:
        raise MalformedMessageError("shorter than a STUN header")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind & 0xC000 or cookie != COOKIE:
        raise MalformedMessageError("not STUN")
    if length % 4 or length + HEADER_LENGTH != len(data):
        raise MalformedMessageError("length field and datagram disagree")
    framed = _frame(data)
    return Message(
        method=kind & _METHOD_BITS,
        message_class=Class(kind & _CLASS_BITS),
        transaction_id=transaction_id,
        attributes=tuple(framed.attributes),
        has_fingerprint=framed.has_fingerprint,
        signed=framed.signed,
        signed_sha256=framed.signed_sha256,
    )


@dataclass(slots=True)
class _Framed:
    """What has been read of a message's body so far."""

    attributes: list[tuple[int, bytes]] = field(default_factory=list)
    signed: bytes | None = None
    signed_sha256: bytes | None = None
    has_fingerprint: bool = False

    def add(self, kind: int, value: bytes, data: bytes, position: int) -> None:
        """Keep an attribute of `data` if it counts where it stands."""
        if kind == Attribute.MESSAGE_INTEGRITY_SHA256:
            if self.signed_sha256 is not None:
                return
            if len(value) != SHA256_LENGTH:
                raise MalformedMessageError("MESSAGE-INTEGRITY-SHA256 is not 32 bytes")
            self.signed_sha256 = data[:position]
        elif self.signed is not None or self.signed_sha256 is not None:
            return
        elif kind == Attribute.MESSAGE_INTEGRITY:
            if len(value) != INTEGRITY_LENGTH - 4:
                raise MalformedMessageError("MESSAGE-INTEGRITY is not 20 bytes")
            self.signed = data[:position]
        self.attributes.append((kind, value))


def _frame(data: bytes) -> _Framed:
    framed = _Framed()
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
            framed.has_fingerprint = True
            return framed
        framed.add(kind, value, data, position)
        position = end + padding_length(length)
    return framed


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
    key: bytes | IntegrityKey | None = None,
    fingerprint: bool = False,
) -> bytes:
    """Write a message; with `key` it is signed, bytes making a MESSAGE-INTEGRITY."""
    body = b"".join(_tlv(kind, value) for kind, value in attributes)
    data = _HEADER.pack(method | message_class, len(body), COOKIE, transaction_id) + body
    if isinstance(key, bytes):
        key = IntegrityKey(key)
    if key is not None and key.sha256:
        integrity = integrity_sha256(data, key.value)
        data = _append(data, Attribute.MESSAGE_INTEGRITY_SHA256, integrity)
    elif key is not None:
        data = _append(data, Attribute.MESSAGE_INTEGRITY, message_integrity(data, key.value))
    if fingerprint:
        crc = message_fingerprint(data)
        data = _append(data, Attribute.FINGERPRINT, crc.to_bytes(4, "big"))
    return data


def _tlv(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(padding_length(len(value)))


def _append(data: bytes, kind: int, value: bytes) -> bytes:
    data += _tlv(kind, value)
    return set_body_length(data, len(data) - HEADER_LENGTH)


def pack_address(address: Address, transaction_id: bytes) -> bytes:
    """Value of an XOR-...-ADDRESS attribute (RFC 8489 section 14.2)."""
    return pack_xor_address(address, transaction_id)


def unpack_address(value: bytes, transaction_id: bytes) -> Address:
    """Address in an XOR-...-ADDRESS attribute, as the kernel writes it. Raises ValueError."""
    host, port = unpack_xor_address(value, transaction_id)
    if ":" in host:
        host = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
    return host, port


def alternate_server(address: Address) -> tuple[int, bytes]:
    """The attribute ALTERNATE-SERVER, whose address is not XORed (RFC 8489 section 14.15)."""
    return Attribute.ALTERNATE_SERVER, pack_plain_address(address)


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


def connection_attempt(number: int, peer: Address, transaction_id: bytes) -> bytes:
    """Tells a client of a connection that a peer has made (RFC 6062 section 5.3)."""
    return encode(
        TcpMethod.CONNECTION_ATTEMPT,
        Class.INDICATION,
        transaction_id,
        [
            (Attribute.CONNECTION_ID, number.to_bytes(4, "big")),
            (Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id)),
        ],
    )


def icmp_indication(error: IcmpError, transaction_id: bytes) -> bytes:
    """A Data indication that tells of an ICMP message (RFC 8656 sections 11.5 and 18.13)."""
    value = struct.pack("!HHI", 0, error.kind << 9 | error.code, error.data)
    return encode(
        Method.DATA,
        Class.INDICATION,
        transaction_id,
        [
            (Attribute.XOR_PEER_ADDRESS, pack_address(error.peer, transaction_id)),
            (Attribute.ICMP, value),
        ],
    )

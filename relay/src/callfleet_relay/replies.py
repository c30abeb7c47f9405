"""Answers to requests as bytes.

FINGERPRINT is there where the request had it (RFC 8489 section 7.2). SOFTWARE goes to those who
have proved who they are only: an answer to a forged sender is as short as it can be.
"""

from __future__ import annotations

from collections.abc import Iterable

from aioice.stun import IPV4_PROTOCOL, IPV6_PROTOCOL, Class, pack_error_code

from callfleet_relay.errors import ErrorCode, RequestError
from callfleet_relay.message import (
    Address,
    Attribute,
    IntegrityKey,
    Message,
    encode,
    error_code,
    pack_address,
)

_SOFTWARE = (int(Attribute.SOFTWARE), b"Callfleet")


def success(
    request: Message, attributes: Iterable[tuple[int, bytes]], key: IntegrityKey | None = None
) -> bytes:
    """A success response, signed where `key` is given."""
    return _reply(request, Class.RESPONSE, attributes, key)


def failure(request: Message, error: RequestError, key: IntegrityKey | None = None) -> bytes:
    """An error response, signed where `key` is given; without, it spares the reason's text."""
    attributes = [error_code(error.code, error.code.reason if key else ""), *error.attributes]
    return _reply(request, Class.ERROR, attributes, key)


def bound(request: Message, client: Address) -> bytes:
    """The success response to a Binding request."""
    mapped = pack_address(client, request.transaction_id)
    return success(request, [(Attribute.XOR_MAPPED_ADDRESS, mapped)])


def allocated(
    request: Message,
    *,
    relayed: Iterable[Address],
    client: Address,
    lifetime: int,
    token: bytes | None,
    declined: int | None,
    ticket: bytes | None,
    key: IntegrityKey,
) -> bytes:
    """The success response to an Allocate (RFC 8656 section 7.2).

    `lifetime` in seconds; `token` of the port that was reserved; `declined`: the second family
    that was asked for and is not there; `ticket` for who may move.
    """
    transaction_id = request.transaction_id
    attributes = [
        *((Attribute.XOR_RELAYED_ADDRESS, pack_address(each, transaction_id)) for each in relayed),
        lifetime_attribute(lifetime),
        (Attribute.XOR_MAPPED_ADDRESS, pack_address(client, transaction_id)),
    ]
    if token is not None:
        attributes.append((Attribute.RESERVATION_TOKEN, token))
    if ticket is not None:
        attributes.append(ticket_attribute(ticket))
    if declined is not None:
        family = IPV6_PROTOCOL if declined == 6 else IPV4_PROTOCOL
        code = pack_error_code((ErrorCode.FAMILY_NOT_SUPPORTED, ""))[2:]
        attributes.append((Attribute.ADDRESS_ERROR_CODE, bytes([family, 0]) + code))
    return success(request, attributes, key)


def lifetime_attribute(seconds: int) -> tuple[int, bytes]:
    """LIFETIME."""
    return Attribute.LIFETIME, seconds.to_bytes(4, "big")


def ticket_attribute(ticket: bytes) -> tuple[int, bytes]:
    """MOBILITY-TICKET."""
    return Attribute.MOBILITY_TICKET, ticket


def _reply(
    request: Message,
    message_class: Class,
    attributes: Iterable[tuple[int, bytes]],
    key: IntegrityKey | None,
) -> bytes:
    software = [_SOFTWARE] if key is not None else []
    return encode(
        request.method,
        message_class,
        request.transaction_id,
        [*attributes, *software],
        key=key,
        fingerprint=request.has_fingerprint,
    )

"""What the attributes of a request say, or the error it is to be answered with (RFC 8656)."""

from __future__ import annotations

from dataclasses import dataclass

from aioice.stun import IPV4_PROTOCOL, IPV6_PROTOCOL

from callfleet_relay.errors import ErrorCode, RequestError, bad_request, peer_family_mismatch
from callfleet_relay.events import Outcome
from callfleet_relay.message import (
    FIRST_CHANNEL,
    LAST_CHANNEL,
    Address,
    Attribute,
    Message,
    unpack_address,
)
from callfleet_relay.reservations import TOKEN_LENGTH

_TCP, _UDP = 6, 17
_OF_DATAGRAMS = (Attribute.DONT_FRAGMENT, Attribute.EVEN_PORT, Attribute.RESERVATION_TOKEN)
"""What an Allocate for TCP may not have (RFC 6062 section 5.1)."""
_RESERVE_NEXT = 0x80
_FAMILIES = {IPV4_PROTOCOL: 4, IPV6_PROTOCOL: 6}


@dataclass(frozen=True, slots=True)
class AllocateRequest:
    """What a client asks for, and what of it this relay has (RFC 8656 section 7.2)."""

    families: tuple[int, ...]
    """Of the relayed addresses; those of the reservation where there is a `token`."""
    declined: int | None = None
    """Second family that it does not get, which the answer tells it."""
    lifetime: int | None = None
    even_port: bool = False
    reserve_next: bool = False
    token: bytes | None = None
    tcp: bool = False
    """Towards peers (RFC 6062)."""
    mobile: bool = False
    """With a mobility ticket (RFC 8016)."""


def check_known(message: Message, unsupported: frozenset[int] = frozenset()) -> None:
    """Refuse what must be understood and is not (RFC 8489 section 6.3). Raises `RequestError`."""
    unknown = message.unknown_required(unsupported)
    if unknown:
        kinds = b"".join(kind.to_bytes(2, "big") for kind in unknown)
        attributes = ((int(Attribute.UNKNOWN_ATTRIBUTES), kinds),)
        raise RequestError(ErrorCode.UNKNOWN_ATTRIBUTE, attributes=attributes)


def read_allocate(
    request: Message, families: frozenset[int], *, tcp_relay: bool, stream: bool
) -> AllocateRequest:
    """Check an Allocate; `families` are those that the relay has. Raises `RequestError`.

    `tcp_relay`: whether it relays TCP; `stream`: whether the client has TCP or TLS.
    """
    transport = _byte(request, Attribute.REQUESTED_TRANSPORT, required=True)
    tcp = transport == _TCP and tcp_relay
    if not tcp and transport != _UDP:
        raise RequestError(ErrorCode.UNSUPPORTED_TRANSPORT, Outcome.UNSUPPORTED)
    mobile = _asks_for_ticket(request)
    if tcp and not (stream and request.lacks(*_OF_DATAGRAMS)):
        raise bad_request()
    requested = _byte(request, Attribute.REQUESTED_ADDRESS_FAMILY)
    additional = _byte(request, Attribute.ADDITIONAL_ADDRESS_FAMILY)
    even = request.first(Attribute.EVEN_PORT)
    token = request.first(Attribute.RESERVATION_TOKEN)
    lifetime = read_lifetime(request)
    if token is not None:
        if len(token) != TOKEN_LENGTH or (requested, additional, even) != (None, None, None):
            raise bad_request()
        return AllocateRequest((), lifetime=lifetime, token=token, mobile=mobile)
    if requested is not None and additional is not None:
        raise bad_request()
    if even is not None and len(even) != 1:
        raise bad_request()
    reserve_next = even is not None and bool(even[0] & _RESERVE_NEXT)
    if additional is not None and (reserve_next or additional != IPV6_PROTOCOL):
        raise bad_request()
    granted, declined = _families(requested, additional is not None, families)
    return AllocateRequest(
        families=granted,
        declined=declined,
        lifetime=lifetime,
        even_port=even is not None,
        reserve_next=reserve_next,
        tcp=tcp,
        mobile=mobile,
    )


def _asks_for_ticket(request: Message) -> bool:
    """Whether it has an empty MOBILITY-TICKET (RFC 8016 section 3.1). Raises `RequestError`."""
    ticket = request.first(Attribute.MOBILITY_TICKET)
    if ticket:
        raise bad_request()
    return ticket is not None


def _families(
    requested: int | None, both: bool, supported: frozenset[int]
) -> tuple[tuple[int, ...], int | None]:
    """What is granted, and what is not though it was asked for. Raises `RequestError`."""
    if both:
        missing = sorted({4, 6} - supported)
        return tuple(sorted(supported)), missing[0] if missing else None
    family = _FAMILIES.get(IPV4_PROTOCOL if requested is None else requested)
    if family not in supported:
        raise RequestError(ErrorCode.FAMILY_NOT_SUPPORTED, Outcome.UNSUPPORTED)
    return (family,), None


def read_lifetime(request: Message) -> int | None:
    """LIFETIME in seconds. Raises `RequestError`."""
    value = request.first(Attribute.LIFETIME)
    if value is None:
        return None
    if len(value) != 4:
        raise bad_request()
    return int.from_bytes(value, "big")


def read_refresh_families(request: Message, families: frozenset[int]) -> frozenset[int]:
    """Which of an allocation's families a Refresh means: all, or the one that it names.

    RFC 8656 section 8.2. Raises `RequestError`.
    """
    requested = _byte(request, Attribute.REQUESTED_ADDRESS_FAMILY)
    if requested is None:
        return families
    family = _FAMILIES.get(requested)
    if family not in families:
        raise peer_family_mismatch()
    return frozenset({family})


def read_peers(request: Message, families: frozenset[int]) -> list[Address]:
    """Peers that a request names, at least one, of an allocation's families.

    Raises `RequestError`.
    """
    values = request.every(Attribute.XOR_PEER_ADDRESS)
    if not values:
        raise bad_request()
    return [_peer(value, request.transaction_id, families) for value in values]


def read_channel(request: Message, families: frozenset[int]) -> tuple[int, Address]:
    """Channel number and peer of a ChannelBind. Raises `RequestError`."""
    value = request.first(Attribute.CHANNEL_NUMBER)
    if value is None or len(value) != 4:
        raise bad_request()
    number = int.from_bytes(value[:2], "big")
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise bad_request()
    return number, _one_peer(request, families)


def read_connection(request: Message) -> int:
    """CONNECTION-ID. Raises `RequestError`."""
    value = request.first(Attribute.CONNECTION_ID)
    if value is None or len(value) != 4:
        raise bad_request()
    return int.from_bytes(value, "big")


def read_send(
    indication: Message, families: frozenset[int], unsupported: frozenset[int]
) -> tuple[Address, bytes, bool]:
    """Peer, data, and whether not to fragment, of a Send indication. Raises `RequestError`."""
    check_known(indication, unsupported)
    data = indication.first(Attribute.DATA)
    if data is None:
        raise bad_request()
    dont_fragment = indication.first(Attribute.DONT_FRAGMENT) is not None
    return _one_peer(indication, families), data, dont_fragment


def _one_peer(message: Message, families: frozenset[int]) -> Address:
    """The first one: of what may stand once only, more are ignored (RFC 8489 section 14)."""
    value = message.first(Attribute.XOR_PEER_ADDRESS)
    if value is None:
        raise bad_request()
    return _peer(value, message.transaction_id, families)


def _peer(value: bytes, transaction_id: bytes, families: frozenset[int]) -> Address:
    try:
        peer = unpack_address(value, transaction_id)
    except ValueError as error:
        raise bad_request() from error
    if (6 if ":" in peer[0] else 4) not in families:
        raise peer_family_mismatch()
    return peer


def _byte(request: Message, attribute: Attribute, *, required: bool = False) -> int | None:
    """First of the attribute's four bytes; the others are reserved."""
    value = request.first(attribute)
    if value is None and not required:
        return None
    if value is None or len(value) != 4:
        raise bad_request()
    return value[0]

"""What the attributes of a request say, or the error it is to be answered with (RFC 8656)."""

from __future__ import annotations

from dataclasses import dataclass

from aioice.stun import IPV4_PROTOCOL, IPV6_PROTOCOL

from callfleet_relay.auth import Refusal
from callfleet_relay.events import Outcome
from callfleet_relay.message import (
    FIRST_CHANNEL,
    LAST_CHANNEL,
    Address,
    Attribute,
    Message,
    unpack_address,
)

_UDP = 17
_RESERVE_NEXT = 0x80
_FAMILIES = {IPV4_PROTOCOL: 4, IPV6_PROTOCOL: 6}


class RequestError(Exception):
    """Answer a request with this error."""

    def __init__(
        self,
        code: int,
        reason: str,
        outcome: Outcome = Outcome.BAD_REQUEST,
        attributes: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        """`outcome` counts where the request is an Allocate."""
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
        self.outcome = outcome
        self.attributes = attributes


def bad_request() -> RequestError:
    """An attribute is missing, or says what it may not."""
    return RequestError(400, "Bad Request")


def no_capacity(outcome: Outcome) -> RequestError:
    """The relay can not take this allocation now."""
    return RequestError(508, "Insufficient Capacity", outcome)


def peer_family_mismatch() -> RequestError:
    """The peer is not of the relayed address's family."""
    return RequestError(443, "Peer Address Family Mismatch")


def unauthenticated(refusal: Refusal, challenge: tuple[tuple[int, bytes], ...]) -> RequestError:
    """The answer to who has not proved to be anybody (RFC 8489 section 9.2.4)."""
    if refusal is Refusal.INCOMPLETE:
        return bad_request()
    code, reason = 401, "Unauthorized"
    if refusal is Refusal.STALE_NONCE:
        code, reason = 438, "Stale Nonce"
    return RequestError(code, reason, Outcome(refusal.value), challenge)


@dataclass(frozen=True, slots=True)
class AllocateRequest:
    """What a client asks for (RFC 8656 section 7.2)."""

    lifetime: int | None
    even_port: bool
    second_family: bool
    """It wants an IPv6 address besides, which it is told it does not get."""


def check_known(message: Message) -> None:
    """Refuse what must be understood and is not (RFC 8489 section 6.3). Raises `RequestError`."""
    unknown = message.unknown_required()
    if unknown:
        kinds = b"".join(kind.to_bytes(2, "big") for kind in unknown)
        attributes = ((int(Attribute.UNKNOWN_ATTRIBUTES), kinds),)
        raise RequestError(420, "Unknown Attribute", attributes=attributes)


def read_allocate(request: Message, family: int) -> AllocateRequest:
    """Check an Allocate; `family` is 4 or 6, that of the relay address. Raises `RequestError`."""
    if _byte(request, Attribute.REQUESTED_TRANSPORT, required=True) != _UDP:
        raise RequestError(442, "Unsupported Transport Protocol", Outcome.UNSUPPORTED)
    requested = _byte(request, Attribute.REQUESTED_ADDRESS_FAMILY)
    additional = _byte(request, Attribute.ADDITIONAL_ADDRESS_FAMILY)
    even = request.first(Attribute.EVEN_PORT)
    _check_token(request, others=(requested, additional, even))
    if additional is not None and (requested is not None or additional != IPV6_PROTOCOL):
        raise bad_request()
    if _FAMILIES.get(IPV4_PROTOCOL if requested is None else requested) != family:
        raise RequestError(440, "Address Family not Supported", Outcome.UNSUPPORTED)
    if even is not None and len(even) != 1:
        raise bad_request()
    if even is not None and even[0] & _RESERVE_NEXT:
        if additional is not None:
            raise bad_request()
        # This server reserves no second port; section 7.2 has it say so with 508.
        raise no_capacity(Outcome.UNSUPPORTED)
    return AllocateRequest(
        lifetime=read_lifetime(request),
        even_port=even is not None,
        second_family=additional is not None,
    )


def _check_token(request: Message, others: tuple[int | bytes | None, ...]) -> None:
    token = request.first(Attribute.RESERVATION_TOKEN)
    if token is None:
        return
    if len(token) != 8 or any(other is not None for other in others):
        raise bad_request()
    raise no_capacity(Outcome.UNSUPPORTED)


def read_lifetime(request: Message) -> int | None:
    """LIFETIME in seconds. Raises `RequestError`."""
    value = request.first(Attribute.LIFETIME)
    if value is None:
        return None
    if len(value) != 4:
        raise bad_request()
    return int.from_bytes(value, "big")


def check_refresh_family(request: Message, family: int) -> None:
    """A Refresh may name the family it means (RFC 8656 section 8.2). Raises `RequestError`."""
    requested = _byte(request, Attribute.REQUESTED_ADDRESS_FAMILY)
    if requested is not None and _FAMILIES.get(requested) != family:
        raise peer_family_mismatch()


def read_peers(request: Message, family: int) -> list[Address]:
    """Peers that a request names, at least one. Raises `RequestError`."""
    values = request.every(Attribute.XOR_PEER_ADDRESS)
    if not values:
        raise bad_request()
    return [_peer(value, request.transaction_id, family) for value in values]


def read_channel(request: Message, family: int) -> tuple[int, Address]:
    """Channel number and peer of a ChannelBind. Raises `RequestError`."""
    value = request.first(Attribute.CHANNEL_NUMBER)
    if value is None or len(value) != 4:
        raise bad_request()
    number = int.from_bytes(value[:2], "big")
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise bad_request()
    return number, read_peers(request, family)[0]


def read_send(indication: Message, family: int) -> tuple[Address, bytes, bool]:
    """Peer, data, and whether not to fragment, of a Send indication. Raises `RequestError`."""
    check_known(indication)
    data = indication.first(Attribute.DATA)
    if data is None:
        raise bad_request()
    dont_fragment = indication.first(Attribute.DONT_FRAGMENT) is not None
    return read_peers(indication, family)[0], data, dont_fragment


def _peer(value: bytes, transaction_id: bytes, family: int) -> Address:
    try:
        peer = unpack_address(value, transaction_id)
    except ValueError as error:
        raise bad_request() from error
    if (6 if ":" in peer[0] else 4) != family:
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

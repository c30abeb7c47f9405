"""Errors that requests are answered with, and what each stands for (RFC 8489 section 14.8)."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from callfleet_relay.auth import Refusal
from callfleet_relay.events import Outcome
from callfleet_relay.message import Address, alternate_server


class ErrorCode(IntEnum):
    """All that this relay answers with; docs/relay.md has their causes."""

    reason: str
    """The phrase of the RFC that defines it."""

    def __new__(cls, code: int, reason: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.reason = reason
        return member

    TRY_ALTERNATE = 300, "Try Alternate"
    BAD_REQUEST = 400, "Bad Request"
    UNAUTHORIZED = 401, "Unauthorized"
    FORBIDDEN = 403, "Forbidden"
    MOBILITY_FORBIDDEN = 405, "Mobility Forbidden"
    UNKNOWN_ATTRIBUTE = 420, "Unknown Attribute"
    ALLOCATION_MISMATCH = 437, "Allocation Mismatch"
    STALE_NONCE = 438, "Stale Nonce"
    FAMILY_NOT_SUPPORTED = 440, "Address Family not Supported"
    WRONG_CREDENTIALS = 441, "Wrong Credentials"
    UNSUPPORTED_TRANSPORT = 442, "Unsupported Transport Protocol"
    PEER_FAMILY_MISMATCH = 443, "Peer Address Family Mismatch"
    CONNECTION_EXISTS = 446, "Connection Already Exists"
    CONNECTION_FAILED = 447, "Connection Timeout or Failure"
    QUOTA_REACHED = 486, "Allocation Quota Reached"
    INSUFFICIENT_CAPACITY = 508, "Insufficient Capacity"


class RequestError(Exception):
    """Answer a request with this error."""

    def __init__(
        self,
        code: ErrorCode,
        outcome: Outcome = Outcome.BAD_REQUEST,
        attributes: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        """`outcome` counts where the request is an Allocate."""
        super().__init__(f"{code.value} {code.reason}")
        self.code = code
        self.outcome = outcome
        self.attributes = attributes


def bad_request() -> RequestError:
    """An attribute is missing, or says what it may not."""
    return RequestError(ErrorCode.BAD_REQUEST)


def quota_reached(outcome: Outcome) -> RequestError:
    """The client, or its user, has or asks for too much."""
    return RequestError(ErrorCode.QUOTA_REACHED, outcome)


def forbidden() -> RequestError:
    """The policy denies a peer."""
    return RequestError(ErrorCode.FORBIDDEN)


def mobility_forbidden() -> RequestError:
    """This client may not move its allocation (RFC 8016 section 3.1)."""
    return RequestError(ErrorCode.MOBILITY_FORBIDDEN, Outcome.UNSUPPORTED)


def allocation_mismatch() -> RequestError:
    """The 5-tuple has an allocation already, or none."""
    return RequestError(ErrorCode.ALLOCATION_MISMATCH, Outcome.MISMATCH)


def no_capacity(outcome: Outcome) -> RequestError:
    """The relay can not take this allocation now."""
    return RequestError(ErrorCode.INSUFFICIENT_CAPACITY, outcome)


def peer_family_mismatch() -> RequestError:
    """The peer is not of the relayed address's family."""
    return RequestError(ErrorCode.PEER_FAMILY_MISMATCH)


def try_alternate(alternative: Address) -> RequestError:
    """Another server would take this allocation (RFC 8489 section 10)."""
    return RequestError(ErrorCode.TRY_ALTERNATE, Outcome.DRAINING, (alternate_server(alternative),))


def unauthenticated(refusal: Refusal, challenge: tuple[tuple[int, bytes], ...]) -> RequestError:
    """The answer to who has not proved to be anybody (RFC 8489 section 9.2.4)."""
    if refusal is Refusal.INCOMPLETE:
        return bad_request()
    is_stale = refusal is Refusal.STALE_NONCE
    code = ErrorCode.STALE_NONCE if is_stale else ErrorCode.UNAUTHORIZED
    return RequestError(code, Outcome(refusal.value), challenge)

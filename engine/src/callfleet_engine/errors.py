"""Errors that clients are told: codes of signalling, each with what to do about it."""

from __future__ import annotations

from typing import Literal, get_args

ErrorCode = Literal[
    "bad_message",
    "token_missing",
    "token_invalid",
    "token_expired",
    "wrong_room",
    "not_permitted",
    "unknown_call",
    "not_joined",
    "bad_sdp",
    "unknown_preset",
    "full",
    "draining",
    "no_relay",
    "sealed",
    "wrong_pod",
    "store_unavailable",
    "internal",
]

ERROR_CODES: frozenset[ErrorCode] = frozenset(get_args(ErrorCode))

HTTP_STATUS: dict[ErrorCode, int] = {
    "bad_message": 400,
    "token_missing": 401,
    "token_invalid": 401,
    "token_expired": 401,
    "wrong_room": 403,
    "not_permitted": 403,
    "unknown_call": 404,
    "not_joined": 409,
    "bad_sdp": 400,
    "unknown_preset": 400,
    "full": 503,
    "draining": 503,
    "no_relay": 503,
    "sealed": 503,
    "wrong_pod": 421,
    "store_unavailable": 503,
    "internal": 500,
}


class CallError(Exception):
    """A request that is refused. `retry_after_ms` is set where trying again can help."""

    def __init__(
        self, code: ErrorCode, message: str, remedy: str, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message} {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy
        self.retry_after_ms = retry_after_ms


def error_code(text: str) -> ErrorCode:
    """The code with this text; `internal` for one that signalling does not know."""
    for code in ERROR_CODES:
        if code == text:
            return code
    return "internal"

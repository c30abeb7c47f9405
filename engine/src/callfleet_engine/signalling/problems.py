"""Refusals over HTTP as problem details (RFC 9457), each with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from callfleet_engine.errors import HTTP_STATUS, CallError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 3
"""Of a 503 that does not say when."""


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A request that is refused; `code` is for programs, `detail` and `remedy` for people."""

    status: int
    code: str
    detail: str
    remedy: str
    retry_after_seconds: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: CallError, status: int | None = None) -> Problem:
        """An error of signalling, under its own status unless another one is given."""
        told = HTTP_STATUS[error.code] if status is None else status
        after = error.retry_after_ms
        seconds = None if after is None else -(-after // 1000)
        if seconds is None and told == HTTPStatus.SERVICE_UNAVAILABLE:
            seconds = RETRY_AFTER_SECONDS
        # RFC 6750, section 3.
        headers = {"WWW-Authenticate": "Bearer"} if told == HTTPStatus.UNAUTHORIZED else {}
        return cls(told, error.code, error.message, error.remedy, seconds, headers)

    def response(self) -> web.Response:
        """The problem as HTTP answers it."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "remedy": self.remedy,
        }
        response = web.Response(
            status=self.status, text=json.dumps(body), content_type=CONTENT_TYPE
        )
        response.headers.update(self.headers)
        if self.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(self.retry_after_seconds)
        return response

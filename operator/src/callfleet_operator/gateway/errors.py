"""What the API server's refusals mean to a caller.

Source: Kubernetes API conventions, "Response Status Kind" and "HTTP Status codes".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

_MESSAGE_LIMIT = 1024


class KubeError(Exception):
    """A request that the API server refused, or that did not reach it."""

    cause = "api-error"
    """Label of low cardinality for the metric of failed rounds."""

    def __init__(self, what: str, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{what}: {message}" + (f" ({status})" if status else ""))
        self.what = what
        self.status = status
        self.message = message
        self.retry_after = retry_after


class NotFoundError(KubeError):
    """404: no such object, or its kind is not installed."""

    cause = "api-not-found"


class AlreadyExistsError(KubeError):
    """409 on create: an object of this name is there."""

    cause = "api-conflict"


class ConflictError(KubeError):
    """409, or a failed `test` of a JSON patch: the object is not the one that was looked at."""

    cause = "api-conflict"


class GoneError(KubeError):
    """410: the continuation of a list has expired; list anew."""

    cause = "api-gone"


class InvalidError(KubeError):
    """400, 413, 415 or 422: the object breaks a rule of the API; trying again does not help."""

    cause = "api-invalid"


class ForbiddenError(KubeError):
    """401 or 403: RBAC, a quota, or an admission webhook says no."""

    cause = "api-forbidden"


class UnavailableError(KubeError):
    """429, 5xx, a broken connection or no answer in time: try again later."""

    cause = "api-unavailable"


class NotLeadingError(KubeError):
    """This process may not change anything, now or any more: it has not been sent."""

    cause = "not-leading"


_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: UnavailableError,
}


def from_response(
    what: str, status: int, body: bytes | str | None, headers: Mapping[str, str] | None
) -> KubeError:
    """The typed error of a refusal. `what` names the request, such as `create pods calls/a-0`."""
    reason, message = _explain(body)
    kind = _BY_STATUS.get(status, UnavailableError if status >= 500 else KubeError)
    if kind is ConflictError and reason == "AlreadyExists":
        kind = AlreadyExistsError
    return kind(what, status, message, _retry_after(headers))


def _explain(body: bytes | str | None) -> tuple[str, str]:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if isinstance(status, dict) and isinstance(status.get("message"), str):
        return str(status.get("reason", "")), status["message"][:_MESSAGE_LIMIT]
    return "", text[:_MESSAGE_LIMIT] or "no explanation given"


def _retry_after(headers: Mapping[str, str] | None) -> float:
    """Seconds; the API server gives whole seconds, never a date. At most a minute is believed."""
    value = (headers or {}).get("Retry-After", "")
    return min(float(value), 60.0) if value.isascii() and value.isdecimal() else 0.0

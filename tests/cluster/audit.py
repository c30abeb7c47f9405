"""The API server's audit log: who did what to which object, with what result, in order.

https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POD_NAME = "authentication.kubernetes.io/pod-name"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class AuditEvent:
    """One answered request."""

    user: str
    user_agent: str
    pod: str
    """Whose service account token was used; empty if it is no pod's."""
    verb: str
    """A Kubernetes verb: get, list, watch, create, update, patch, delete, deletecollection."""
    api_group: str
    resource: str
    """Plural, with the sub-resource: "pods", "pods/status", "pods/eviction"."""
    namespace: str
    name: str
    """Of the object; for a create with generateName the name it got."""
    uid: str
    """Of the object, as far as request or response said it."""
    code: int
    """HTTP status of the answer."""
    uri: str
    received: str
    """Time of arrival, RFC 3339 with microseconds."""
    request: Any
    """Body of a write (for a delete its DeleteOptions with the preconditions), else None."""
    response: Any
    """Body of a write's answer, else None."""

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def preconditions(self) -> dict[str, str]:
        """uid and resourceVersion that a delete was bound to."""
        options = self.request if isinstance(self.request, dict) else {}
        if "deleteOptions" in options:  # an Eviction
            options = options["deleteOptions"] or {}
        return dict(options.get("preconditions") or {})


class AuditLog:
    """Reads the log while the API server writes it.

    Events stand in the order in which requests were answered. The server writes a line just
    after its answer: `barrier` makes sure that what was answered before is in the file.
    """

    def __init__(self, path: Path, get: Callable[[str], object]) -> None:
        """`get` sends a GET request to the API server for a path."""
        self._path = path
        self._get = get

    def mark(self) -> int:
        """The present end of the log, for `events(since=...)`."""
        self.barrier()
        return self._path.stat().st_size

    def events(self, since: int = 0) -> list[AuditEvent]:
        """All events, or those after a mark."""
        self.barrier()
        return self.parsed(since)

    def writes(
        self, since: int = 0, *, user: str | None = None, resources: Sequence[str] = ()
    ) -> list[AuditEvent]:
        """Writes after a mark, of one user, to the named resources ("pods/status" apart)."""
        return [
            event
            for event in self.events(since)
            if event.is_write
            and user in (None, event.user)
            and (not resources or event.resource in resources)
        ]

    def barrier(self, timeout_seconds: float = 10) -> None:
        """Return when the log holds every request answered before this call."""
        marker = f"/livez/ping?barrier={uuid.uuid4().hex}"
        start = self._path.stat().st_size if self._path.exists() else 0
        self._get(marker)
        deadline = time.monotonic() + timeout_seconds
        while not (self._path.exists() and marker.encode() in self._bytes(start)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._path}: the API server wrote no line for {marker}")
            time.sleep(POLL_SECONDS)

    def _bytes(self, since: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(since)
            return file.read()

    def parsed(self, since: int = 0) -> list[AuditEvent]:
        """What is in the file by now; `events` waits for what is on its way."""
        whole, _, _ = self._bytes(since).rpartition(b"\n")  # the last line may be half written
        return [parse_event(json.loads(line)) for line in whole.splitlines() if line]


def parse_event(event: dict[str, Any]) -> AuditEvent:
    """Read one line of the log (audit.k8s.io/v1 Event)."""
    target = event.get("objectRef") or {}
    request, response = event.get("requestObject"), event.get("responseObject")
    subresource = target.get("subresource")
    resource = target.get("resource", "")
    user = event.get("impersonatedUser") or event["user"]
    pods = (user.get("extra") or {}).get(POD_NAME) or [""]
    return AuditEvent(
        user=user.get("username", ""),
        user_agent=event.get("userAgent", ""),
        pod=pods[0],
        verb=event["verb"],
        api_group=target.get("apiGroup", ""),
        resource=f"{resource}/{subresource}" if subresource else resource,
        namespace=target.get("namespace", ""),
        name=target.get("name") or _metadata(response).get("name", ""),
        uid=target.get("uid") or _uid(request, response),
        code=int((event.get("responseStatus") or {}).get("code", 0)),
        uri=event["requestURI"],
        received=event["requestReceivedTimestamp"],
        request=request,
        response=response,
    )


def _uid(request: object, response: object) -> str:
    """From the object answered with, from a Status' details, or from preconditions."""
    details = response.get("details") if isinstance(response, dict) else None
    preconditions = request.get("preconditions") if isinstance(request, dict) else None
    for place in (_metadata(response), details, preconditions):
        if isinstance(place, dict) and place.get("uid"):
            return str(place["uid"])
    return ""


def _metadata(body: object) -> dict[str, Any]:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return metadata if isinstance(metadata, dict) else {}

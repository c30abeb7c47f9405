"""What the audit log says of a fleet's pods: which were ended unsealed, and who acted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from tests.cluster.audit import AuditEvent

Json = dict[str, Any]

SEALED = "callfleet.dev/sealed"
COMPONENT = "app.kubernetes.io/component"
COMPONENTS = frozenset({"engine", "relay"})


def gone_without_seal(
    events: Iterable[AuditEvent], before: Iterable[Json], account: str
) -> list[str]:
    """Engines and relays that had started and not sealed, and were deleted by the operator or
    evicted by anybody.

    `before` are the pods as they were when the events began, `account` is the operator's.
    """
    pods = {body["metadata"]["name"]: body for body in before if _is_ours(body)}
    started = {name for name, body in pods.items() if _runs(body)}
    gone = []
    for event in events:
        unsealed = event.name in started and SEALED not in _labels(pods[event.name])
        if unsealed and _ends_a_pod(event, account):
            gone.append(f"{event.name}: {event.verb} {event.resource} by {event.user}")
        if (body := _pod(event)) is not None:
            if event.verb == "create":
                started.discard(event.name)
            pods[event.name] = body
            if _runs(body):
                started.add(event.name)
    return gone


def of_component(events: Iterable[AuditEvent], component: str) -> Iterator[AuditEvent]:
    """The events about pods of this component, with its body."""
    return (event for event in events if _labels(_pod(event) or {}).get(COMPONENT) == component)


def acting_pods(events: Iterable[AuditEvent], account: str, namespace: str) -> list[str]:
    """The pods of a service account that wrote to a namespace, in the order in which they took
    turns: each once if no two acted at a time."""
    writers = (
        event.pod
        for event in events
        if event.is_write and event.user == account and event.namespace == namespace
    )
    return [pod for pod, _ in groupby(writers)]


def _ends_a_pod(event: AuditEvent, account: str) -> bool:
    evicted = (event.verb, event.resource) == ("create", "pods/eviction")
    deleted = (event.verb, event.resource, event.user) == ("delete", "pods", account)
    return event.code < 300 and (evicted or deleted)


def _pod(event: AuditEvent) -> Json | None:
    body = event.response
    if event.code >= 300 or not isinstance(body, dict) or body.get("kind") != "Pod":
        return None
    return body if _is_ours(body) else None


def _is_ours(body: Json) -> bool:
    return _labels(body).get(COMPONENT) in COMPONENTS


def _labels(body: Json) -> dict[str, str]:
    labels: dict[str, str] = body.get("metadata", {}).get("labels") or {}
    return labels


def _runs(body: Json) -> bool:
    """Whether a container of it has started, now or before."""
    return any(
        {"running", "terminated"} & (one.get("state", {}).keys() | one.get("lastState", {}).keys())
        for one in body.get("status", {}).get("containerStatuses") or ()
    )

"""What the audit log and the pods say of an operator: invariants of the life of a pod."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.callfleet_operator.reconcile.world import OPERATOR, World
from tests.cluster.audit import AuditEvent

ADMISSION = "callfleet.dev/admission"
SEALED = "callfleet.dev/sealed"


def assert_no_call_was_cut(here: World, events: Iterable[AuditEvent]) -> None:
    """Every pod that the operator deleted had sealed itself before, or never ran (ADR 0001)."""
    for event in events:
        if event.verb != "delete" or event.code != 200 or event.resource != "pods":
            continue
        assert event.preconditions.keys() == {"uid", "resourceVersion"}
        if event.uid not in here.ended and event.uid not in here.pods:
            continue  # no container of it was ever started
        sealed = (here.ended.get(event.uid) or here.pods[event.uid]).sealed_at()
        assert sealed is not None, f"{event.name} was deleted without a seal"
        assert sealed < datetime.fromisoformat(event.received)


def assert_sealed_for_good(here: World, events: Iterable[AuditEvent]) -> None:
    """Once sealed a pod takes nobody, says no to every undrain, and is never labelled otherwise."""
    for pod in (*here.ended.values(), *here.pods.values()):
        sealed = pod.sealed_at()
        if sealed is None:
            continue
        after = [(call, code) for at, call, code in pod.log if at > sealed]
        assert ("DELETE drain", 200) not in after
        assert ("POST drain", 200) not in after
        assert pod.admission == "sealed"
    labelled: set[str] = set()
    for event in _of_pods(events):
        if SEALED in _labels(event):
            labelled.add(event.uid)
        assert event.uid not in labelled or _labels(event)[ADMISSION] == "Sealed"


def assert_one_pod_an_ordinal(events: Iterable[AuditEvent]) -> None:
    """No ordinal is given to a second pod while the first one is there."""
    holders: dict[str, str] = {}
    for event in _of_pods(events):
        name = event.response["metadata"]["name"]
        assert event.response["metadata"]["labels"]["callfleet.dev/ordinal"] == name.split("-")[-1]
        if event.verb == "create":
            assert name not in holders, f"two pods {name}"
            holders[name] = event.uid
        elif _is_gone(event):
            holders.pop(name, None)


def fewest_open(events: Iterable[AuditEvent], before: Iterable[dict[str, Any]]) -> int:
    """The fewest pods that were open and ready at any moment, pods as they were `before`, then
    after each write to one."""
    pods = {body["metadata"]["uid"]: body for body in before}
    fewest = _open(pods.values())
    for event in _of_pods(events):
        if _is_gone(event):
            pods.pop(event.uid, None)
        else:
            pods[event.uid] = event.response
        fewest = min(fewest, _open(pods.values()))
    return fewest


async def pod_events(here: World, since: int) -> list[AuditEvent]:
    """Everything that anybody wrote to pods of this namespace, in order."""
    return [
        event
        for event in here.api.audit.writes(since, resources=("pods", "pods/status"))
        if event.namespace == here.namespace
    ]


def by_operator(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """The operator's own among them."""
    return [event for event in events if event.user == OPERATOR]


def _of_pods(events: Iterable[AuditEvent]) -> Iterable[AuditEvent]:
    for event in events:
        body = event.response if isinstance(event.response, dict) else {}
        if event.code < 300 and body.get("kind") == "Pod":
            yield event


def _labels(event: AuditEvent) -> dict[str, str]:
    labels: dict[str, str] = event.response["metadata"].get("labels") or {}
    return labels


def _is_gone(event: AuditEvent) -> bool:
    """A delete without grace; one with grace leaves the pod with a time."""
    options = event.request if isinstance(event.request, dict) else {}
    return event.verb == "delete" and options.get("gracePeriodSeconds") == 0


def _open(pods: Iterable[dict[str, Any]]) -> int:
    return sum(1 for body in pods if _serves(body))


def _serves(body: dict[str, Any]) -> bool:
    metadata = body["metadata"]
    conditions = body.get("status", {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    is_open = (metadata.get("labels") or {}).get(ADMISSION) == "Open"
    return ready and is_open and "deletionTimestamp" not in metadata

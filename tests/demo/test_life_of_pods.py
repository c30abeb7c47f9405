"""What is read from the audit log about pods, event by event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.audit import AuditEvent, parse_event
from tests.demo.life_of_pods import acting_pods, gone_without_seal, of_component

OPERATOR = "operator"
RUNNING: dict[str, Any] = {"containerStatuses": [{"state": {"running": {}}}]}
WAITING: dict[str, Any] = {"containerStatuses": [{"state": {"waiting": {}}}]}


def pod(
    name: str, component: str = "engine", *, sealed: bool = False, status: object = None
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component}
    if sealed:
        labels["callfleet.dev/sealed"] = "true"
    return {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "status": status or {}}


def event(
    verb: str, name: str, response: object = None, *, user: str = OPERATOR, resource: str = "pods",
    code: int = 200, by: str = "",
) -> AuditEvent:  # fmt: skip
    resource, _, subresource = resource.partition("/")
    return parse_event(
        {
            "verb": verb,
            "user": {
                "username": user,
                "extra": {"authentication.kubernetes.io/pod-name": [by]},
            },
            "requestURI": "",
            "requestReceivedTimestamp": "",
            "objectRef": {
                "resource": resource, "subresource": subresource, "name": name, "namespace": "demo",
            },
            "responseStatus": {"code": code},
            "responseObject": response,
        }
    )  # fmt: skip


DELETED = event("delete", "e-0")
EVICTED = event("create", "e-0", resource="pods/eviction", code=201, user="admin")


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (DELETED, "e-0: delete pods by operator"),
        (EVICTED, "e-0: create pods/eviction by admin"),
    ],
)
def test_a_pod_that_was_ended_unsealed_is_named(ended: AuditEvent, says: str) -> None:
    assert gone_without_seal([ended], [pod("e-0", status=RUNNING)], OPERATOR) == [says]


def test_a_sealed_pod_may_go() -> None:
    sealing = event("patch", "e-0", pod("e-0", sealed=True, status=RUNNING))
    assert gone_without_seal([sealing, DELETED], [pod("e-0", status=RUNNING)], OPERATOR) == []
    assert gone_without_seal([DELETED, sealing], [pod("e-0", status=RUNNING)], OPERATOR) != []


def test_its_successor_of_the_same_name_is_another_pod() -> None:
    before = [pod("e-0", sealed=True, status=RUNNING)]
    created = event("create", "e-0", pod("e-0"), code=201)
    waits = event(
        "patch", "e-0", pod("e-0", status=WAITING), resource="pods/status", user="kubelet"
    )
    runs = event("patch", "e-0", pod("e-0", status=RUNNING), resource="pods/status")
    assert gone_without_seal([DELETED, created, waits, DELETED], before, OPERATOR) == []
    assert gone_without_seal([DELETED, created, runs, DELETED], before, OPERATOR) != []


@pytest.mark.parametrize(
    "harmless",
    [
        event("delete", "e-0", user="system:node:one"),
        event("delete", "e-0", user="admin"),
        event("delete", "e-0", code=409),
        event("create", "e-0", resource="pods/eviction", code=429, user="admin"),
    ],
)
def test_what_ends_nothing_is_passed_over(harmless: AuditEvent) -> None:
    assert gone_without_seal([harmless], [pod("e-0", status=RUNNING)], OPERATOR) == []


def test_pods_that_are_not_of_a_fleet_are_passed_over() -> None:
    assert gone_without_seal([DELETED], [pod("e-0", "database", status=RUNNING)], OPERATOR) == []


def test_events_are_sorted_by_component() -> None:
    engine, relay = (event("patch", name, pod(name, name)) for name in ("engine", "relay"))
    assert list(of_component([engine, relay, DELETED], "relay")) == [relay]


def test_who_acted_is_named_by_turns() -> None:
    writes = [event("patch", "e-0", by=name) for name in ("one", "one", "two")]
    assert acting_pods(writes, OPERATOR, "demo") == ["one", "two"]
    again = [*writes, event("patch", "e-0", by="one")]
    assert acting_pods(again, OPERATOR, "demo") == ["one", "two", "one"]
    others = [event("get", "e-0", by="three"), event("patch", "e-0", user="x", by="four")]
    assert acting_pods([*writes, *others], OPERATOR, "demo") == ["one", "two"]

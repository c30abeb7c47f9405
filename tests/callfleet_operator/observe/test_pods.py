"""Pods as the API server shows them, by table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from callfleet_operator.observation import (
    Admission,
    FleetPod,
    Freshness,
    Interval,
    PodLoad,
    Process,
    Source,
)
from callfleet_operator.observe.pods import member, ordinal_of, seen_pod

LOAD = PodLoad(Interval(0, 10), 10, Interval(0, 1), Freshness.MISSING, Source.NONE)
TIME = "2026-01-01T00:00:00Z"


def seen(
    *,
    owned: bool = True,
    metadata: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> FleetPod:
    body = {
        "metadata": {
            "name": "calls-engine-7",
            "uid": "u",
            "resourceVersion": "5",
            "creationTimestamp": TIME,
            **(metadata or {}),
        },
        "spec": {"nodeName": "node-a"} if spec is None else spec,
        "status": status or {},
    }
    return member(seen_pod(body), ordinal=7, owned=owned, zone="z", load=LOAD)


def waiting(reason: str, message: str = "", **more: object) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def containers(*statuses: dict[str, Any], phase: str = "Running") -> dict[str, Any]:
    return {"phase": phase, "containerStatuses": list(statuses)}


RUNNING = {"state": {"running": {"startedAt": TIME}}}
TERMINATED = {"state": {"terminated": {"exitCode": 1}}}


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [
        ("calls-engine-0", 0),
        ("calls-engine-12", 12),
        ("calls-engine-01", None),
        ("calls-engine--1", None),
        ("calls-engine-", None),
        ("calls-engine-1x", None),
        ("calls-engine-9999999999", None),
        ("other-engine-0", None),
        ("calls-engine-0-engine-0", None),
    ],
)
def test_ordinals(name: str, ordinal: int | None) -> None:
    assert ordinal_of(name, "calls-engine") == ordinal


def test_a_name_is_no_pattern() -> None:
    assert ordinal_of("aXb-engine-0", "a.b-engine") is None


@pytest.mark.parametrize(
    ("labels", "admission"),
    [
        ({}, Admission.OPEN),
        ({"callfleet.dev/admission": "Open"}, Admission.OPEN),
        ({"callfleet.dev/admission": "Cordoned"}, Admission.CORDONED),
        ({"callfleet.dev/admission": "Sealed"}, Admission.SEALED),
        ({"callfleet.dev/admission": "sealed"}, Admission.OPEN),
        ({"callfleet.dev/admission": "Cordoned", "callfleet.dev/sealed": "true"}, Admission.SEALED),
    ],
)
def test_admission(labels: dict[str, str], admission: Admission) -> None:
    assert seen(metadata={"labels": labels}).admission is admission


def test_a_drain_is_told_by_its_annotations() -> None:
    notes = {"callfleet.dev/drain-id": "d", "callfleet.dev/drain-reason": "Outdated"}
    pod = seen(metadata={"annotations": notes | {"callfleet.dev/drain-started": TIME}})
    assert (pod.drain_id, pod.drain_reason) == ("d", "Outdated")
    assert pod.drain_started == datetime(2026, 1, 1, tzinfo=UTC)
    assert (seen().drain_id, seen().drain_reason) == ("", "")


@pytest.mark.parametrize(
    ("spec", "status", "process"),
    [
        ({}, {"phase": "Pending"}, Process.NEVER_STARTED),
        (None, {"phase": "Pending"}, Process.POSSIBLE),  # the kubelet has said nothing yet
        (None, containers(RUNNING), Process.POSSIBLE),
        (None, containers(RUNNING, TERMINATED), Process.POSSIBLE),
        (None, containers({"state": {}}), Process.POSSIBLE),
        (None, containers(waiting("ContainerCreating")), Process.NEVER_STARTED),
        (None, containers(waiting("ImagePullBackOff")), Process.NEVER_STARTED),
        (None, containers(waiting("CrashLoopBackOff", restartCount=3)), Process.STOPPED),
        (None, containers(waiting("CrashLoopBackOff", lastState=TERMINATED)), Process.STOPPED),
        (None, containers(TERMINATED), Process.STOPPED),
        (None, containers(TERMINATED, phase="Failed"), Process.ENDED),
        (None, containers(TERMINATED, phase="Succeeded"), Process.ENDED),
        ({}, {"phase": "Failed"}, Process.ENDED),
    ],
)
def test_whether_a_process_can_be_alive(
    spec: dict[str, Any] | None, status: dict[str, Any], process: Process
) -> None:
    assert seen(spec=spec, status=status).process is process


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ({}, ""),
        (containers(RUNNING), ""),
        (containers(waiting("ContainerCreating")), ""),
        (containers(waiting("ErrImagePull", "no such tag")), "ErrImagePull: no such tag"),
        (containers(waiting("CrashLoopBackOff")), "CrashLoopBackOff"),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "Evicted: disk"),
        ({"phase": "Failed"}, "Failed"),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes",
                    }
                ]
            },
            "Unschedulable: 0/1 nodes",
        ),
    ],
)
def test_what_keeps_a_pod_from_serving(status: dict[str, Any], failure: str) -> None:
    pod = seen(status=status)
    assert (pod.failed, pod.failure) == (bool(failure), failure)


def test_readiness_and_since_when() -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": TIME}
    pod = seen(status={"conditions": [condition], "podIP": "10.0.0.9"})
    assert pod.ready
    assert pod.ready_changed == datetime(2026, 1, 1, tzinfo=UTC)
    assert pod.address == "10.0.0.9"
    assert not seen().ready
    assert seen().ready_changed is None


def test_who_has_sealed_it() -> None:
    def by(manager: str, *labels: str) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "f:metadata": {"f:labels": {f"f:{label}": {} for label in labels}}
        }
        return {"manager": manager, "operation": "Update", "fieldsV1": fields}

    managed = [
        by("kubectl-label", "callfleet.dev/sealed", "app"),
        by("callfleet-operator", "callfleet.dev/admission"),
        {"manager": "kubelet", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    labels = {"callfleet.dev/sealed": "true"}
    sealed = seen(metadata={"labels": labels, "managedFields": managed})
    assert sealed.sealed_by == {"kubectl-label"}
    assert seen(metadata={"labels": labels}).sealed_by == frozenset()
    assert seen(metadata={"managedFields": managed}).sealed_by == frozenset()


def test_a_drain_and_one_mangled_by_hand() -> None:
    notes = {"callfleet.dev/drain-id": "d", "callfleet.dev/drain-started": TIME}
    pod = seen(metadata={"annotations": notes})
    assert (pod.drain_id, pod.drain_started) == ("d", datetime(2026, 1, 1, tzinfo=UTC))
    for text in ("yesterday", "2026-01-01T00:00:00"):
        mangled = seen(metadata={"annotations": {"callfleet.dev/drain-started": text}})
        assert mangled.drain_started is None


def test_who_is_on_the_way_out() -> None:
    assert not seen().terminating
    assert seen(metadata={"deletionTimestamp": TIME}).terminating
    # Of an earlier resource of the name: it holds the name and is not touched.
    assert seen(owned=False).terminating


def test_a_long_failure_is_cut() -> None:
    pod = seen(status=containers(waiting("ErrImagePull", "x" * 10_000)))
    assert len(pod.failure) == 512

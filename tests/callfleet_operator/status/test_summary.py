"""The status as it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterStatus, TurnPoolStatus
from callfleet_operator.api.v1alpha1.turnpool import Endpoint
from callfleet_operator.observation import Admission, ConnectionFailures, Freshness, Observation
from callfleet_operator.plan.decision import Memory
from callfleet_operator.status.facts import Facts
from callfleet_operator.status.summary import cluster_status, pool_status
from tests.callfleet_operator.plan.samples import (
    AWAY,
    NOW,
    REVISION,
    cluster,
    known,
    loaded,
    observed,
    pod,
    seconds,
    starting,
    unknown,
)
from tests.callfleet_operator.status.scenarios import WELL, cluster_case, pool_case

Body = dict[str, Any]


def status(
    seen: Observation,
    previous: Body | None = None,
    *,
    generation: int = 1,
    facts: Facts = WELL,
    memory: Memory | None = None,
    **scaling: object,
) -> Body:
    case = cluster_case(seen, facts, cluster(**scaling), memory)
    before = CallClusterStatus.model_validate(previous or {})
    return cluster_status(case, before, generation).to_api()


def condition(body: Body, type_: str) -> Body:
    found: Body = next(one for one in body["conditions"] if one["type"] == type_)
    return found


def test_says_what_the_pods_do() -> None:
    body = status(
        observed(
            *loaded(60, 60),
            starting(2),
            pod(3, load=known(5), admission=Admission.CORDONED),
            pod(4, admission=Admission.SEALED),
            pod(5, terminating=True),
        ),
        generation=7,
    )

    assert body["replicas"] == {
        "desired": 3,
        "open": 2,
        "starting": 1,
        "draining": 2,
        "sealed": 1,
    }
    assert body["observedGeneration"] == 7
    assert {one["observedGeneration"] for one in body["conditions"]} == {7}


def test_a_condition_keeps_its_time_until_its_status_flips() -> None:
    first = status(observed(*loaded(60)))
    later, latest = NOW + seconds(600), NOW + seconds(1200)

    same = status(observed(*loaded(61), now=later), first)
    other_reason = status(observed(*loaded(61), now=later), first, mode="ScaleOutOnly")
    flipped = status(observed(pod(load=unknown()), now=latest, metrics=AWAY), same)

    assert time_of(first) == time_of(same) == time_of(other_reason) == NOW
    assert condition(other_reason, "ScalingActive")["reason"] == "ScaleOutOnly"
    assert time_of(flipped) == latest


def time_of(body: Body) -> datetime:
    return datetime.fromisoformat(condition(body, "ScalingActive")["lastTransitionTime"])


class TestFigures:
    def figures(self, *used: float, previous: Body | None = None) -> tuple[object, object]:
        body = status(observed(*loaded(*used)), previous)
        return body.get("participants"), body.get("utilizationPercent")

    @pytest.mark.parametrize(
        ("used", "shown"),
        [
            ((0, 0), (0, 0)),
            ((1, 0), (10, 5)),  # not nothing, so not 0
            ((33, 30), (60, 30)),
            ((70, 70), (140, 70)),
        ],
    )
    def test_are_rounded_to_five_points(
        self, used: tuple[float, ...], shown: tuple[int, int]
    ) -> None:
        assert self.figures(*used) == shown

    @pytest.mark.parametrize(("used", "percent"), [(52.4, 50), (54.9, 50), (45.1, 50), (55, 55)])
    def test_stay_until_they_are_a_whole_step_off(self, used: float, percent: int) -> None:
        previous = {"utilizationPercent": 50, "participants": 50}

        assert self.figures(used, previous=previous)[1] == percent

    def test_are_left_out_when_they_are_not_known(self) -> None:
        body = status(observed(pod(0, load=known(50)), pod(1, load=unknown(Freshness.STALE))))

        assert "participants" not in body
        assert "utilizationPercent" not in body

    def test_of_no_serving_pod_there_is_no_utilisation(self) -> None:
        assert self.figures() == (0, None)


class TestLastDecision:
    def test_tells_what_why_and_when(self) -> None:
        body = status(observed(*loaded(90, 95, 100)), max_replicas=4)

        assert body["lastDecision"] == {
            "time": "2026-01-01T12:00:00Z",
            "stage": "Utilization",
            "reason": "Utilization",
            "message": (
                "3 to 4 open pods: The load fills 2.85 pods; at 70 % that takes 5 open pods. "
                "5 open pods are asked for, maxReplicas is 4."
            ),
        }
        assert body["lastScaleOutTime"] == "2026-01-01T12:00:00Z"
        assert "lastScaleInTime" not in body

    def test_stays_until_the_number_changes(self) -> None:
        first = status(observed(*loaded(90)))
        memory = Memory(desired_open=2)

        later = status(observed(*loaded(90, 0), now=NOW + seconds(60)), first, memory=memory)

        assert later["lastDecision"] == first["lastDecision"]
        assert later["lastScaleOutTime"] == first["lastScaleOutTime"]

    def test_dry_run_shows_where_active_would_go_and_scales_nothing(self) -> None:
        body = status(observed(*loaded(90)), mode="DryRun")

        assert (body["wouldScaleTo"], body["replicas"]["desired"]) == (2, 1)
        assert body["lastDecision"]["stage"] == "Mode"
        assert "lastScaleOutTime" not in body
        assert "wouldScaleTo" not in status(observed(*loaded(90)))


def test_the_current_revision_follows_when_every_pod_has_it() -> None:
    old = pod(0, load=known(60), revision="older")
    before = {"currentRevision": "older"}

    mixed = status(observed(old, pod(1, load=known(60))), before)
    over = status(observed(pod(1, load=known(60))), before)

    assert (mixed["currentRevision"], mixed["updateRevision"]) == ("older", REVISION)
    assert over["currentRevision"] == REVISION


class TestPool:
    def status(self, failures: ConnectionFailures | None) -> Body:
        case = pool_case(observed(*loaded(40, 40), failures=failures))
        endpoints = (Endpoint(pod="demo-relay-0", urls=("turn:192.0.2.1:3478",)),)
        return pool_status(case, TurnPoolStatus(), 1, endpoints).to_api()

    def test_has_its_own_figures(self) -> None:
        body = self.status(ConnectionFailures(200, 9))

        assert (body["allocations"], body["saturationPercent"]) == (80, 40)
        assert (body["failurePercent"], body["attempts"]) == (4, 200)
        assert body["endpoints"] == [
            {"pod": "demo-relay-0", "region": "", "urls": ["turn:192.0.2.1:3478"]}
        ]

    def test_leaves_out_failures_that_are_not_known(self) -> None:
        body = self.status(None)

        assert "failurePercent" not in body
        assert "attempts" not in body


def test_is_a_valid_status_of_the_api() -> None:
    body = status(observed(*loaded(90, 95, 100)))

    assert CallClusterStatus.model_validate(body).to_api() == body


def test_decisions_of_a_memory_are_not_told_twice() -> None:
    first = status(observed(*loaded(90)))
    again = status(
        observed(*loaded(90), starting(1), now=NOW + seconds(15)),
        first,
        memory=replace(Memory(), desired_open=2),
    )

    assert again["lastDecision"] == first["lastDecision"]

"""When a status is written and which events there are: on change only."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterStatus
from callfleet_operator.api.v1alpha1.common import Condition
from callfleet_operator.observation import Admission, ConnectionFailures, Observation
from callfleet_operator.status import engines, relays
from callfleet_operator.status.case import Case
from callfleet_operator.status.changes import Event, events, worth_writing
from callfleet_operator.status.facts import Facts
from callfleet_operator.status.summary import cluster_status, conditions
from tests.callfleet_operator.plan.samples import (
    AWAY,
    NOW,
    cluster,
    loaded,
    observed,
    pod,
    seconds,
    starting,
    unknown,
)
from tests.callfleet_operator.plan.samples import WELL as WELL_METRICS
from tests.callfleet_operator.status.scenarios import WELL, cluster_case, pool_case

Body = dict[str, Any]


def status(seen: Observation, previous: Body | None = None) -> Body:
    before = CallClusterStatus.model_validate(previous or {})
    return cluster_status(cluster_case(seen), before, 1).to_api()


FIRST = status(observed(*loaded(60)))


def written(before: Body, after: Body, *, age: float | None) -> bool:
    last = None if age is None else NOW - seconds(age)
    return worth_writing(before, after, last_written=last, now=NOW)


def changed(path: str, value: object) -> Body:
    body = deepcopy(FIRST)
    place: Any = body
    *way, last = path.split(".")
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return body


def test_nothing_new_is_never_written() -> None:
    assert not written(FIRST, deepcopy(FIRST), age=86400)
    assert not written(FIRST, status(observed(*loaded(61), now=NOW + seconds(15)), FIRST), age=None)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("conditions.0.status", "False"),
        ("conditions.0.reason", "NameConflict"),
        ("replicas.desired", 2),
        ("replicas.draining", 1),
        ("observedGeneration", 2),
        ("wouldScaleTo", 3),
        ("lastDecision.reason", "ScaleIn"),
    ],
)
def test_decisions_conditions_and_pods_are_written_at_once(path: str, value: object) -> None:
    assert written(FIRST, changed(path, value), age=1)


@pytest.mark.parametrize(
    ("path", "value"),
    [("participants", 65), ("utilizationPercent", 65), ("conditions.0.message", "Other words.")],
)
def test_figures_and_words_alone_are_written_once_a_minute(path: str, value: object) -> None:
    other = changed(path, value)

    assert not written(FIRST, other, age=59)
    assert written(FIRST, other, age=60)
    assert written(FIRST, other, age=None)
    assert written(FIRST, other, age=-5), "a clock set back delays nothing for long"


@pytest.mark.parametrize("load", ["idle", "away", "draining pods"])
def test_at_rest_time_alone_writes_nothing(load: str) -> None:
    silent = tuple(pod(number, load=unknown()) for number in range(2))
    pods, metrics = {
        "idle": (loaded(5), WELL_METRICS),
        "away": (silent, AWAY),
        "draining pods": ((pod(0), pod(1, admission=Admission.CORDONED)), WELL_METRICS),
    }[load]
    first = status(observed(*pods, metrics=metrics))

    later = observed(*pods, metrics=metrics, now=NOW + timedelta(minutes=50))

    assert status(later, first) == first


def test_a_quiet_pool_writes_nothing_as_its_window_moves_on() -> None:
    def findings(age: float) -> object:
        counted = ConnectionFailures(0, 0, since=NOW - seconds(age))
        return relays.findings(pool_case(observed(*loaded(5), failures=counted)))

    assert findings(300) == findings(285)


def reported(case: Case[Any], previous: tuple[Condition, ...]) -> tuple[Event, ...]:
    return events(previous, present(case), case.decision)


def present(case: Case[Any]) -> tuple[Condition, ...]:
    return conditions(engines.findings(case), (), NOW, 1)


WELL_CASE = cluster_case(observed(*loaded(60)))


def test_no_change_no_event() -> None:
    assert reported(WELL_CASE, present(WELL_CASE)) == ()


def test_a_new_object_reports_only_what_is_wrong() -> None:
    assert reported(WELL_CASE, ()) == ()
    wrong = cluster_case(observed(*loaded(60)), Facts(missing_pools=("media/relays",)))
    assert [(one.type, one.reason) for one in reported(wrong, ())] == [("Warning", "PoolMissing")]


def test_a_change_of_a_condition_is_an_event_and_its_return_another() -> None:
    away = cluster_case(observed(pod(load=unknown()), metrics=AWAY))

    lost = reported(away, present(WELL_CASE))
    back = reported(WELL_CASE, present(away))

    assert ("Warning", "PrometheusUnreachable") in [(one.type, one.reason) for one in lost]
    assert ("Normal", "PrometheusAnswers") in [(one.type, one.reason) for one in back]


def test_other_words_are_no_event() -> None:
    case = cluster_case(observed(*loaded(60, 60)), WELL, cluster())

    assert reported(case, present(WELL_CASE)) == ()


def test_a_new_number_is_an_event_that_says_why() -> None:
    case = cluster_case(observed(*loaded(90)))

    assert reported(case, present(case)) == (
        Event(
            "Normal",
            "ScalingOut",
            "1 to 2 open pods: The load fills 0.90 pods; at 70 % that takes 2 open pods.",
        ),
    )


def test_dry_run_reports_no_scaling() -> None:
    case = cluster_case(observed(*loaded(90)), spec=cluster(mode="DryRun"))

    assert reported(case, present(case)) == ()


def test_the_first_pods_are_no_cause_for_alarm_once_they_serve() -> None:
    before = cluster_case(observed(starting(0)))

    after = reported(WELL_CASE, present(before))

    assert {one.type for one in after} == {"Normal"}

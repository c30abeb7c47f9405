"""Fleets under the same calls: what each of them does with calls that are under way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_operator.simulate.comparison import compare
from callfleet_operator.simulate.durations import Exponential
from callfleet_operator.simulate.operated import Operated
from callfleet_operator.simulate.pods import Pods, Room
from callfleet_operator.simulate.replay import (
    Assumptions,
    Outcome,
    Point,
    operated,
    with_hpa,
    with_keda,
)
from callfleet_operator.simulate.traffic import Call, Shown, traffic
from tests.callfleet_operator.plan.samples import cluster
from tests.callfleet_operator.simulate.samples import HOUR, MINUTE, history, made

pytestmark = pytest.mark.slow

GIVEN = Assumptions()
LENGTH = 45 * MINUTE
PEAK_AND_FALL = history(40, 40, 200, 420, 420, 300, 120, 60, 40, 40, 40, 40, 40)


def peak_and_fall(at_a_time: int = 112, people: int = 2) -> tuple[Call, ...]:
    """Calls of about 45 minutes that begin regularly but for a jitter, for four hours."""
    random, begins, calls = Random(45), 0.0, []  # noqa: S311  # no secret
    while (begins := begins + LENGTH / at_a_time * random.uniform(0.9, 1.1)) < 4 * HOUR:
        calls.append(Call(begins, begins + LENGTH * random.uniform(0.9, 1.1), people))
    return tuple(calls)


def test_a_peak_of_45_minute_calls_falls_to_eight_or_nine_pods() -> None:
    """550 participants on 20 pods of 40, falling to the 224 that 8 pods carry at 70 %: the
    scenario of the plan's own test, through the simulator."""
    under_way = tuple(Call(-LENGTH, LENGTH * (number + 1) / 275, 2) for number in range(275))
    calls = made(
        *peak_and_fall(),
        under_way=under_way,
        length=4 * HOUR,
        rate=112 / LENGTH,
        mean=LENGTH,
    )
    spec = cluster(capacity=40)
    outcome = operated(spec, calls, replace(GIVEN, pods_at_start=20))
    opened = [point.open for point in outcome.points]

    assert (outcome.blocked, outcome.cut) == (0, 0)
    assert set(opened[-240:]) <= {8, 9}
    assert len(set(opened[-240:])) == 1, "no swing between two numbers"
    assert min(opened) >= 8, "never under what it settles on"
    assert opened == sorted(opened, reverse=True), "down only, one way"
    # the same calls under an HPA: it cuts some of those of the peak
    assert with_hpa(spec, calls, replace(GIVEN, pods_at_start=20)).cut > 0


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(0, 300), min_size=3, max_size=8),
    st.floats(60, 5400),
    st.sampled_from([1.0, 2.0, 3.5]),
    st.integers(0, 1000),
)
def test_the_plan_cuts_no_call_and_every_call_is_accounted_for(
    values: list[float], mean: float, people: float, seed: int
) -> None:
    calls = traffic(history(*values), Exponential(mean), people, seed=seed)
    outcome = operated(cluster(capacity=40, max_replicas=8), calls, GIVEN)

    assert (outcome.cut, outcome.cut_participants) == (0, 0)
    assert outcome.offered == len(calls.calls)
    assert all(point.open >= 1 and point.pods <= 12 for point in outcome.points)
    if not outcome.blocked:
        # nobody blocked and nobody cut: everybody who would be there is
        expected = calls.offered(tuple(point.seconds for point in outcome.points))
        assert tuple(point.participants for point in outcome.points) == expected


def test_the_same_gives_the_same() -> None:
    calls = traffic(PEAK_AND_FALL, Exponential(20 * MINUTE), 2, seed=3)
    spec = cluster(capacity=40)
    assert compare("one", spec, calls, GIVEN) == compare("one", spec, calls, GIVEN)


@pytest.mark.parametrize("replayed", [with_hpa, with_keda])
def test_a_deployment_cuts_what_its_grace_does_not_cover(replayed: object) -> None:
    calls = traffic(PEAK_AND_FALL, Exponential(20 * MINUTE), 2, seed=3)
    spec = cluster(capacity=40)
    short, long = (
        (with_hpa if replayed is with_hpa else with_keda)(
            spec, calls, replace(GIVEN, grace_seconds=grace)
        )
        for grace in (30, 6 * HOUR)
    )
    assert short.cut > 0
    assert short.cut_participants == 2 * short.cut
    assert long.cut == 0
    assert long.pod_hours > short.pod_hours, "pods that wait for their calls cost"


def test_calls_that_fit_nowhere_are_blocked() -> None:
    # 10 calls of 2 people at once, for two pods that take 4 new people each (85 % of 5)
    calls = made(*(Call(60, 1200, 2) for _ in range(10)), length=600)
    outcome = operated(
        cluster(capacity=5, max_replicas=2, min_replicas=2), calls, replace(GIVEN, start_seconds=0)
    )
    assert (outcome.offered, outcome.blocked) == (10, 6)
    assert outcome.blocked_share == pytest.approx(0.6)
    assert outcome.points[-1].blocked == 6


def test_pod_hours_are_those_of_pods_that_exist() -> None:
    outcome = operated(cluster(min_replicas=3), made(length=HOUR), GIVEN)
    assert outcome.pod_hours == pytest.approx(3)
    assert outcome.mean_pods == pytest.approx(3)
    assert (outcome.least_pods, outcome.most_pods) == (3, 3)
    assert outcome.blocked_share is None
    assert outcome.cost("73") == Decimal("0.30")
    assert outcome.cost("") is None


def test_a_new_pod_takes_calls_only_when_it_has_started() -> None:
    calls = made(*(Call(60 + 0.1 * number, 3000, 2) for number in range(60)), length=600)
    spec = cluster(capacity=40, max_replicas=8)
    quick, slow = (operated(spec, calls, replace(GIVEN, start_seconds=start)) for start in (0, 120))
    assert quick.blocked == slow.blocked > 0
    later = made(*(Call(90 + number, 3000, 2) for number in range(60)), length=600)
    quick, slow = (operated(spec, later, replace(GIVEN, start_seconds=start)) for start in (0, 120))
    assert quick.blocked < slow.blocked


def test_schedules_hold_at_the_time_of_the_history() -> None:
    schedule = {
        "name": "morning",
        "cron": "20 0 * * *",
        "durationSeconds": 1200,
        "minReplicas": 6,
    }
    outcome = operated(cluster(schedules=[schedule]), made(length=HOUR), GIVEN)
    assert opened_at(outcome, 19 * MINUTE) == 1
    assert opened_at(outcome, 21 * MINUTE) == 6
    assert opened_at(outcome, 55 * MINUTE) < 6


def opened_at(outcome: Outcome, seconds: float) -> int:
    (point,) = [one for one in outcome.points if one.seconds == seconds]
    assert isinstance(point, Point)
    return point.open


@pytest.mark.parametrize(("mode", "least"), [("Disabled", 1), ("Floor", 8)])
def test_a_forecast_knows_what_the_replay_has_shown(mode: str, least: int) -> None:
    """After three days with a steep rise at the same hour, just before that of the fourth."""
    day = [20.0] * 60 + [400.0] * 24 + [20.0] * 60
    shown = [*day, *day, *day, *day[:58]]
    pods = Pods(Room(80, 70, 85), Random(1))  # noqa: S311  # no secret
    pods.add(0, -HOUR, -HOUR)
    pods.resume([Call(-60, 1e6, 20)])
    spec = cluster(capacity=80, forecast={"mode": mode, "horizonSeconds": 1800})
    fleet = Operated(spec, pods, made(), 0, _history=shown)
    begin = len(shown) * 600.0
    for tick in range(8):
        fleet.tick(begin + 15 * tick)

    assert fleet.open == least


def test_modes_that_hold_the_number_are_said() -> None:
    calls = traffic(history(40, 40, shown=Shown.PARTICIPANTS), Exponential(600), 2, seed=1)
    noted = compare("one", cluster(mode="Paused"), calls, GIVEN).notes
    assert any("mode is Paused" in note for note in noted)

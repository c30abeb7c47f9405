"""The loop closed around a fleet in memory, hours of it in a moment."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from callfleet_operator.observation import CallDemand, MetricsHealth, MetricsProblem
from tests.callfleet_operator.plan.model_fleet import TICK, Call, ModelFleet
from tests.callfleet_operator.plan.samples import cluster

CALL = timedelta(minutes=45)
FOREVER = timedelta(days=30)
AWAY = MetricsHealth(MetricsProblem.UNREACHABLE, "connection refused")


def fleet_of(pods: int, *participants: int, **scaling: object) -> ModelFleet:
    """`pods` ready pods, the first of them with endless calls of so many participants."""
    fleet = ModelFleet(cluster(**scaling))
    fleet.add_ready_pods(pods)
    for ordinal, number in enumerate(participants):
        fleet.pods[ordinal].calls.append(Call(number, fleet.now + FOREVER))
    return fleet


def run(fleet: ModelFleet, time: timedelta) -> list[int]:
    """Let time pass; the number of open pods after each round of it."""
    rounds = time // TICK
    for _ in range(rounds):
        fleet.round()
    return fleet.opened[-rounds:]


class Traffic:
    """Calls that begin regularly but for a jitter, and what Prometheus would say of them."""

    def __init__(self, fleet: ModelFleet, *, at_a_time: int, people: int, seed: int) -> None:
        self.fleet, self.people, self.random = fleet, people, random.Random(seed)  # noqa: S311  # no secret
        self.interval = CALL / at_a_time
        self.next = fleet.now + self.interval
        self.begun = [fleet.now - self.interval * number for number in range(at_a_time * 2)]

    def begin(self, since: timedelta) -> float:
        """Calls that began in the last while, per second."""
        first = self.fleet.now - since
        return sum(1 for begun in self.begun if begun > first) / since.total_seconds()

    def tick(self) -> None:
        while self.next <= self.fleet.now:
            self.fleet.place(Call(self.people, self.fleet.now + CALL * self._jitter()))
            self.begun.append(self.fleet.now)
            self.next += self.interval * self._jitter()
        self.fleet.demand = CallDemand(
            self.begin(timedelta(minutes=5)),
            CALL.total_seconds(),
            self.people,
            hourly_arrivals_per_second=self.begin(timedelta(hours=1)),
        )

    def _jitter(self) -> float:
        return self.random.uniform(0.9, 1.1)


@pytest.mark.parametrize(
    ("people", "blocking", "rest"),
    [
        (2, 1000, {8, 9}),  # telephone calls, and every default
        (5, 0, {8, 9}),  # without the floor by blocking
        (5, 1000, {11}),  # places for six calls a pod: with 9 pods 2 % of the calls would find none
    ],
)
def test_a_peak_of_45_minute_calls_falls_to_eight_or_nine_pods(
    people: int, blocking: int, rest: set[int]
) -> None:
    """550 participants on 20 pods of 40, falling to the 224 that 8 pods carry at 70 %."""
    fleet = ModelFleet(cluster(capacity=40, max_blocking_per_million=blocking))
    fleet.add_ready_pods(20)
    peak = 550 // people
    for number in range(peak):
        # the calls of the peak have begun evenly over the last 45 minutes
        fleet.pods[number % 20].calls.append(Call(people, fleet.now + CALL * (number + 1) / peak))
    traffic = Traffic(fleet, at_a_time=224 // people, people=people, seed=45)

    for _ in range(4 * 240):
        traffic.tick()
        fleet.round()
        in_use = sum(one.used for one in fleet.pods.values() if one.pod.admission.value == "Open")
        assert in_use <= 0.85 * 40 * fleet.open

    assert fleet.refused == 0
    assert fleet.lost == 0
    assert min(fleet.opened) >= min(rest), "never under what it settles on"
    assert set(fleet.opened[-240:]) <= rest
    assert len(set(fleet.opened[-240:])) == 1, "no swing between two numbers"
    assert fleet.opened == sorted(fleet.opened, reverse=True), "down only, one way"


def test_a_rise_is_met_within_the_rate_and_the_fall_cuts_no_call() -> None:
    fleet = fleet_of(1, 60)
    for _ in range(8):
        fleet.place(Call(20, fleet.now + timedelta(minutes=30)))
        fleet.round()
    risen = run(fleet, timedelta(minutes=5))
    fallen = run(fleet, timedelta(minutes=60))

    assert max(risen) >= 3
    assert fallen[-1] == 1
    assert len(fleet.pods) == 1
    assert fleet.lost == 0


def test_an_outage_of_prometheus_drains_nothing_and_delays_the_fall_by_a_whole_window() -> None:
    fleet = fleet_of(6, 10)
    fleet.metrics, fleet.silent = AWAY, frozenset(range(6))
    away = run(fleet, timedelta(hours=2))
    fleet.metrics, fleet.silent = MetricsHealth(), frozenset()
    back = run(fleet, timedelta(minutes=5))
    later = run(fleet, timedelta(minutes=30))

    assert set(away) == {6}
    assert set(back) == {6}
    assert later[-1] == 1


def test_a_drain_under_way_finishes_during_an_outage() -> None:
    fleet = fleet_of(2, 10)
    run(fleet, timedelta(seconds=330))
    assert [one.pod.admission.value for one in fleet.pods.values()].count("Open") == 1
    fleet.metrics = AWAY
    run(fleet, timedelta(minutes=2))

    assert len(fleet.pods) == 1


def test_pods_that_never_start_are_not_made_without_end() -> None:
    fleet = fleet_of(1, 100, max_replicas=4, max_total_replicas=6)
    fleet.starts = False
    run(fleet, timedelta(hours=1))

    assert len(fleet.pods) <= 6
    kept = set(fleet.pods)
    run(fleet, timedelta(hours=1))
    assert set(fleet.pods) == kept, "no pod is made and removed in a circle"


def test_when_they_start_after_all_the_surplus_goes() -> None:
    fleet = fleet_of(1, 100, max_replicas=4, max_total_replicas=6)
    fleet.starts = False
    run(fleet, timedelta(hours=1))
    fleet.starts = True
    run(fleet, timedelta(minutes=30))

    assert len(fleet.pods) == 2
    assert fleet.lost == 0


def test_a_node_drain_moves_every_pod_without_a_call_cut_or_a_gap() -> None:
    fleet = ModelFleet(cluster(min_replicas=3))
    fleet.add_ready_pods(3)
    for one in fleet.pods.values():
        one.calls.append(Call(10, fleet.now + timedelta(minutes=10)))
    fleet.unavailable_nodes = frozenset({"node-a"})
    for _ in range(80):
        serving = [one for one in fleet.pods.values() if one.pod.ready]
        assert sum(1 for one in serving if one.pod.admission.value == "Open") >= 3
        fleet.round()

    assert fleet.lost == 0
    assert Counter(one.pod.node for one in fleet.pods.values()) == {"node-b": 3}


def test_a_single_pod_without_room_for_a_second_is_drained_and_then_replaced() -> None:
    fleet = fleet_of(1, max_replicas=1, max_total_replicas=1)
    fleet.place(Call(10, fleet.now + timedelta(minutes=5)))
    fleet.unavailable_nodes = frozenset({"node-a"})
    run(fleet, timedelta(minutes=10))

    assert fleet.lost == 0
    assert [one.pod.node for one in fleet.pods.values()] == ["node-b"]


def test_an_operator_that_forgets_everything_each_hour_shrinks_no_faster() -> None:
    fleet = fleet_of(5, 10)
    run(fleet, timedelta(seconds=300))
    fleet.memory = replace(fleet.memory, desired_open=None, recommendations=())
    after = run(fleet, timedelta(seconds=300))

    assert set(after) == {5}


@pytest.mark.parametrize("participants", [0, 63, 70, 77, 140, 154, 155, 200, 333])
def test_constant_load_comes_to_rest(participants: int) -> None:
    spread = [participants // 4 + (number < participants % 4) for number in range(4)]
    fleet = fleet_of(4, *spread)
    run(fleet, timedelta(minutes=40))
    rest = run(fleet, timedelta(minutes=20))

    assert len(set(rest)) == 1
    assert fleet.lost == 0

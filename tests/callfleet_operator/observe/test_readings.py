"""From rows of Prometheus and answers of pods to readings and figures."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from callfleet_operator.observation import CallDemand, Connections, Source
from callfleet_operator.observe.queries import Metric
from callfleet_operator.observe.readings import (
    connection_failures,
    connections_snapshot,
    engine_snapshot,
    relay_snapshot,
    status_reading,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


Values = dict[tuple[str, ...], float]


def row(value: float, pod: str = "a-0", uid: str = "u") -> Values:
    return {("calls", pod, uid): value}


def complete(**changes: float) -> dict[Metric, Values]:
    values = {"occupancy": 9, "calls": 3, "stress": 0.5, "age": 10}
    return {Metric(name): row(value) for name, value in (values | changes).items()}


def test_a_reading_of_an_engine() -> None:
    (reading,) = engine_snapshot(complete(), NOW).readings["calls", "a-0"]
    assert (reading.used, reading.stress, reading.calls) == (9, 0.5, 3)
    assert reading.source is Source.PROMETHEUS
    assert reading.at == NOW - timedelta(seconds=10)
    assert reading.uid == "u"


def test_unknown_is_never_zero() -> None:
    rows = complete()
    del rows[Metric.OCCUPANCY]
    (reading,) = engine_snapshot(rows, NOW).readings["calls", "a-0"]
    assert math.isnan(reading.used)


def test_without_stress_it_is_no_number() -> None:
    rows = complete()
    del rows[Metric.STRESS]
    (reading,) = engine_snapshot(rows, NOW).readings["calls", "a-0"]
    assert math.isnan(reading.stress)


def test_without_an_age_there_is_no_reading() -> None:
    rows = complete()
    del rows[Metric.AGE]
    assert engine_snapshot(rows, NOW).readings == {}


def test_the_series_of_a_former_pod_of_the_name_stand_apart() -> None:
    rows = {
        metric: values | row(values["calls", "a-0", "u"] + 100, uid="former")
        for metric, values in complete().items()
    }
    readings = engine_snapshot(rows, NOW).readings["calls", "a-0"]
    assert {reading.uid: reading.used for reading in readings} == {"u": 9, "former": 109}


def test_prometheus_clock_ahead_makes_no_future() -> None:
    (reading,) = engine_snapshot(complete(age=-5), NOW).readings["calls", "a-0"]
    assert reading.at == NOW


def test_a_relay_is_used_by_its_allocations() -> None:
    rows = {Metric.OCCUPANCY: row(4), Metric.STRESS: row(0.1), Metric.AGE: row(1)}
    (reading,) = relay_snapshot(rows, NOW).readings["calls", "a-0"]
    assert (reading.used, reading.calls) == (4, None)


def test_demand_is_known_as_a_whole_or_not_at_all() -> None:
    a, b = ("calls", "a"), ("calls", "b")
    rows: dict[Metric, Values] = {
        Metric.ARRIVALS: {a: 0.5, b: 0.1},
        Metric.DURATION: {a: 120},
        Metric.CALL_SIZE: {a: 3, b: 2},
    }
    assert engine_snapshot(rows, NOW).demand == {("calls", "a"): CallDemand(0.5, 120, 3)}
    rows[Metric.HOURLY_ARRIVALS] = {a: 0.25}
    assert engine_snapshot(rows, NOW).demand == {("calls", "a"): CallDemand(0.5, 120, 3, 0.25)}


def test_failures_by_result_and_cause() -> None:
    users: Values = {("served",): 89.6, ("capacity",): 9.5, ("other",): 0.2}
    outcomes: Values = {("expired",): 3.4, ("quota",): 0.1}
    found = connection_failures(users, outcomes, NOW)
    assert (found.tried, found.refused_for_capacity) == (100, 10)
    assert found.other_causes == {"expired": 3}
    assert found.since == NOW
    assert connection_failures({}, {}, NOW).tried == 0


STATUS: dict[str, Any] = {
    "component": "engine",
    "podUid": "u",
    "participants": 7,
    "pendingJoins": 1,
    "calls": 2,
    "stress": {"packets": 0.1, "cpu": 0.4, "loop": 0.0},
}


def test_what_a_pod_says_of_itself() -> None:
    reading = status_reading(STATUS, NOW)
    assert (reading.used, reading.stress, reading.calls) == (8, 0.4, 2)
    assert (reading.source, reading.uid, reading.at) == (Source.POD_STATUS, "u", NOW)
    relay = {"component": "relay", "podUid": "r", "allocations": 5, "stress": {"cpu": 0.2}}
    assert status_reading(relay, NOW).used == 5


@pytest.mark.parametrize(
    "changes",
    [{"participants": None}, {"participants": "7"}, {"participants": True}, {"pendingJoins": None}],
)
def test_a_figure_that_is_none_is_no_number(changes: dict[str, Any]) -> None:
    assert math.isnan(status_reading(STATUS | changes, NOW).used)


@pytest.mark.parametrize("stress", [None, {}, 0.4, {"cpu": "0.4"}])
def test_a_stress_that_is_none_is_no_number(stress: object) -> None:
    assert math.isnan(status_reading(STATUS | {"stress": stress}, NOW).stress)


def test_connections_of_pods_by_uid() -> None:
    rows = {
        Metric.ATTEMPTS: row(9.6) | row(4, pod="a-1", uid="v") | row(7, uid=""),
        Metric.FAILED: row(2.4) | row(3, pod="a-2", uid="w"),
    }
    # Without attempts nothing is known, whatever has failed; without a uid nobody is meant.
    assert connections_snapshot(rows, NOW).connections == {
        "u": Connections(10, 2),
        "v": Connections(4, 0),
    }

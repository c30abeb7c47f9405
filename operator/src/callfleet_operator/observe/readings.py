"""Readings of pods out of rows of Prometheus and answers of the pods themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from callfleet_operator.observation import (
    CallDemand,
    ConnectionFailures,
    Connections,
    Reading,
    Source,
)
from callfleet_operator.observe.queries import Metric

PodName = tuple[str, str]
"""Namespace and name."""
FleetName = tuple[str, str]
"""Namespace and name of a custom resource."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Prometheus said about all fleets of one kind at one time."""

    readings: Mapping[PodName, tuple[Reading, ...]] = field(default_factory=dict)
    """One a pod uid: the series of a deleted pod linger beside those of its successor."""
    demand: Mapping[FleetName, CallDemand] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    connections: Mapping[str, Connections] = field(default_factory=dict)
    """By pod uid; only asked for while a rollout is under way."""


Values = Mapping[tuple[str, ...], float]
"""Of the rows of one answer, by the labels that tell them apart: `Metric.labels`."""
Tables = Mapping[Metric, Values]


def engine_snapshot(tables: Tables, now: datetime, warnings: tuple[str, ...] = ()) -> Snapshot:
    """All CallClusters."""
    return Snapshot(
        _readings(tables, now),
        _demand(tables),
        warnings,
    )


def relay_snapshot(tables: Tables, now: datetime, warnings: tuple[str, ...] = ()) -> Snapshot:
    """All TurnPools."""
    return Snapshot(_readings(tables, now), {}, warnings)


def _readings(tables: Tables, now: datetime) -> Mapping[PodName, tuple[Reading, ...]]:
    """A pod without an age has no reading; one without some other figure a contradictory one."""
    used, stress, calls, ages = (
        tables.get(metric, {})
        for metric in (Metric.OCCUPANCY, Metric.STRESS, Metric.CALLS, Metric.AGE)
    )
    made: dict[PodName, tuple[Reading, ...]] = {}
    for series, age in ages.items():
        namespace, pod, uid = series
        reading = Reading(
            source=Source.PROMETHEUS,
            at=now - timedelta(seconds=max(0.0, age)),
            uid=uid,
            used=used.get(series, math.nan),
            stress=stress.get(series, math.nan),
            calls=calls.get(series),
        )
        made[namespace, pod] = (*made.get((namespace, pod), ()), reading)
    return made


def _demand(tables: Tables) -> Mapping[FleetName, CallDemand]:
    arrivals, durations, sizes, hourly = (
        tables.get(metric, {})
        for metric in (
            Metric.ARRIVALS,
            Metric.DURATION,
            Metric.CALL_SIZE,
            Metric.HOURLY_ARRIVALS,
        )
    )
    # Of a cluster where no call has ended yet the means are unknown, and so is its demand.
    return {
        (namespace, cluster): CallDemand(
            arrivals[namespace, cluster],
            durations[namespace, cluster],
            sizes[namespace, cluster],
            hourly.get((namespace, cluster)),
        )
        for namespace, cluster in arrivals.keys() & durations.keys() & sizes.keys()
    }


def connections_snapshot(tables: Tables, _: datetime, warnings: tuple[str, ...] = ()) -> Snapshot:
    """How attempts to connect went, of all fleets of a kind. A pod that counts attempts and no
    failure has none; of one that counts no attempts nothing is known."""
    failed = tables.get(Metric.FAILED, {})
    counted = {
        series[2]: Connections(round(attempts), round(failed.get(series, 0)))
        for series, attempts in tables.get(Metric.ATTEMPTS, {}).items()
        if series[2]
    }
    return Snapshot(connections=counted, warnings=warnings)


def connection_failures(users: Values, outcomes: Values, since: datetime) -> ConnectionFailures:
    """Users of a pool since a time, by `RESULT_LABELS` and `OUTCOME_LABELS`.

    increase() gives fractions: whole users are counted.
    """
    results = {result: max(0, round(value)) for (result,), value in users.items()}
    causes = {outcome: max(0, round(value)) for (outcome,), value in outcomes.items()}
    return ConnectionFailures(
        tried=sum(results.values()),
        refused_for_capacity=results.get("capacity", 0),
        other_causes={cause: count for cause, count in sorted(causes.items()) if count},
        since=since,
    )


def status_reading(answer: Mapping[str, object], now: datetime) -> Reading:
    """What a pod says of itself (`GET /admin/v1/status`). What it leaves out is no number."""
    if answer.get("component") == "relay":
        used = _number(answer, "allocations")
        calls = None
    else:
        used = _number(answer, "participants") + _number(answer, "pendingJoins")
        calls = _number(answer, "calls")
    stress = answer.get("stress")
    resources = stress if isinstance(stress, dict) else {}
    return Reading(
        source=Source.POD_STATUS,
        at=now,
        uid=str(answer.get("podUid", "")),
        used=used,
        stress=max((_number(resources, name) for name in resources), default=math.nan),
        calls=calls,
    )


def _number(values: Mapping[str, object], name: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)

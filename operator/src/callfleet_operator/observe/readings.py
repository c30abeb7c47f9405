"""Readings of pods out of rows of Prometheus and answers of the pods themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from callfleet_operator.observation import (
    CallDemand,
    ConnectionFailures,
    Connections,
    Reading,
    Source,
)
from callfleet_operator.observe.queries import Metric


class Row(Protocol):
    """One row of an instant vector."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the series."""

    @property
    def value(self) -> float:
        """A finite number."""


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


Rows = Mapping[Metric, Iterable[Row]]


def engine_snapshot(rows: Rows, now: datetime, warnings: tuple[str, ...] = ()) -> Snapshot:
    """All CallClusters."""
    return Snapshot(
        _readings(rows, now),
        _demand(rows),
        warnings,
    )


def relay_snapshot(rows: Rows, now: datetime, warnings: tuple[str, ...] = ()) -> Snapshot:
    """All TurnPools."""
    return Snapshot(_readings(rows, now), {}, warnings)


def _readings(rows: Rows, now: datetime) -> Mapping[PodName, tuple[Reading, ...]]:
    """A pod without an age has no reading; one without some other figure a contradictory one."""
    tables = {
        metric: {_series(row): row.value for row in rows.get(metric, ())}
        for metric in (Metric.OCCUPANCY, Metric.STRESS, Metric.CALLS, Metric.AGE)
    }
    made: dict[PodName, tuple[Reading, ...]] = {}
    for series, age in tables[Metric.AGE].items():
        namespace, pod, uid = series
        calls = tables[Metric.CALLS].get(series)
        reading = Reading(
            source=Source.PROMETHEUS,
            at=now - timedelta(seconds=max(0.0, age)),
            uid=uid,
            used=tables[Metric.OCCUPANCY].get(series, math.nan),
            stress=tables[Metric.STRESS].get(series, math.nan),
            calls=calls,
        )
        made[namespace, pod] = (*made.get((namespace, pod), ()), reading)
    return made


def _series(row: Row) -> tuple[str, str, str]:
    labels = row.labels
    return labels.get("namespace", ""), labels.get("pod", ""), labels.get("pod_uid", "")


def _demand(rows: Rows) -> Mapping[FleetName, CallDemand]:
    tables = [
        {
            (row.labels.get("namespace", ""), row.labels.get("callfleet_cluster", "")): row.value
            for row in rows.get(metric, ())
        }
        for metric in (
            Metric.ARRIVALS,
            Metric.DURATION,
            Metric.CALL_SIZE,
            Metric.HOURLY_ARRIVALS,
        )
    ]
    arrivals, durations, sizes, hourly = tables
    # Of a cluster where no call has ended yet the means are unknown, and so is its demand.
    return {
        name: CallDemand(arrivals[name], durations[name], sizes[name], hourly.get(name))
        for name in arrivals.keys() & durations.keys() & sizes.keys()
    }


def connections_snapshot(rows: Rows, _: datetime, warnings: tuple[str, ...] = ()) -> Snapshot:
    """How attempts to connect went, of all fleets of a kind. A pod that counts attempts and no
    failure has none; of one that counts no attempts nothing is known."""
    failed = {_series(row): row.value for row in rows.get(Metric.FAILED, ())}
    counted = {
        series[2]: Connections(round(row.value), round(failed.get(series, 0)))
        for row in rows.get(Metric.ATTEMPTS, ())
        if (series := _series(row))[2]
    }
    return Snapshot(connections=counted, warnings=warnings)


def connection_failures(
    users: Iterable[Row], outcomes: Iterable[Row], since: datetime
) -> ConnectionFailures:
    """Users of a pool since a time. increase() gives fractions: whole users are counted."""
    results = {row.labels.get("result", ""): max(0, round(row.value)) for row in users}
    causes = {row.labels.get("outcome", ""): max(0, round(row.value)) for row in outcomes}
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

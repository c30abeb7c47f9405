"""Short ways to write pods, observations and specs in tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.observation import (
    Admission,
    CallDemand,
    ConnectionFailures,
    Connections,
    FleetPod,
    Freshness,
    Interval,
    MetricsHealth,
    MetricsProblem,
    NoOutlook,
    Observation,
    Outlook,
    PodLoad,
    Process,
    Source,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
CAPACITY = 100
REVISION = "aaaaaaaaaa"
OLDER = "older"
"""The revision before."""


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def known(used: float, *, stress: float = 0.0, capacity: int = CAPACITY) -> PodLoad:
    return PodLoad(
        Interval.exactly(used),
        capacity,
        Interval.exactly(stress),
        Freshness.FRESH,
        Source.PROMETHEUS,
    )


def from_itself(used: float, *, capacity: int = CAPACITY) -> PodLoad:
    return PodLoad(
        Interval.exactly(used),
        capacity,
        Interval.exactly(0),
        Freshness.FRESH,
        Source.POD_STATUS,
    )


def unknown(freshness: Freshness = Freshness.MISSING, *, capacity: int = CAPACITY) -> PodLoad:
    return PodLoad(Interval(0, capacity), capacity, Interval(0, 1), freshness, Source.NONE)


def pod(
    ordinal: int = 0,
    *,
    load: PodLoad | None = None,
    admission: Admission = Admission.OPEN,
    ready: bool = True,
    failure: str = "",
    terminating: bool = False,
    age: float = 3600,
    ready_for: float | None = 3590,
    process: Process = Process.POSSIBLE,
    revision: str = REVISION,
    node: str = "node-a",
    zone: str = "zone-a",
    address: str = "10.0.0.1",
    requested: bool = False,
    drain_reason: str = "",
    draining_for: float = 60,
    now: datetime = NOW,
) -> FleetPod:
    """An open, ready, empty pod of an hour's age, unless said otherwise; one that is not open was
    cordoned by hand.

    `ready_for` is the age of the Ready condition's last change, None for no condition yet.
    """
    cordoned = admission is not Admission.OPEN
    return FleetPod(
        name=f"demo-engine-{ordinal}",
        uid=f"uid-{ordinal}",
        resource_version="1",
        ordinal=ordinal,
        revision=revision,
        node=node,
        zone=zone,
        address=address,
        admission=admission,
        ready=ready,
        failed=bool(failure),
        failure=failure,
        terminating=terminating,
        created=now - seconds(age),
        ready_changed=None if ready_for is None else now - seconds(ready_for),
        drain_id=f"drain-{ordinal}" if cordoned else "",
        drain_started=now - seconds(draining_for) if cordoned else None,
        load=known(0) if load is None else load,
        process=process,
        drain_requested=requested,
        drain_reason=drain_reason,
    )


def starting(ordinal: int, *, age: float = 20, load: PodLoad | None = None) -> FleetPod:
    """A pod that has just been made and has no data yet."""
    return pod(
        ordinal,
        load=unknown() if load is None else load,
        ready=False,
        age=age,
        ready_for=None,
        process=Process.NEVER_STARTED if load is None else Process.POSSIBLE,
    )


def loaded(*used: float) -> tuple[FleetPod, ...]:
    """Ready pods with so many participants each."""
    return tuple(pod(ordinal, load=known(number)) for ordinal, number in enumerate(used))


WELL = MetricsHealth()
AWAY = MetricsHealth(MetricsProblem.UNREACHABLE, "connection refused", NOW - seconds(250))


def observed(
    *pods: FleetPod,
    now: datetime = NOW,
    metrics: MetricsHealth = WELL,
    demand: CallDemand | None = None,
    failures: ConnectionFailures | None = None,
    outlook: Outlook | NoOutlook | None = None,
    hold_until: datetime | None = None,
    reported_open: int | None = None,
    unavailable_nodes: frozenset[str] = frozenset(),
    revisions: tuple[str, ...] = (OLDER, REVISION),
    connections: Mapping[str, Connections] | None = None,
    calls_failed: bool = False,
) -> Observation:
    return Observation(
        now=now,
        pods=pods,
        metrics=metrics,
        unavailable_nodes=unavailable_nodes,
        demand=demand,
        outlook=outlook or NoOutlook("none in this test"),
        failures=failures,
        reported_open=reported_open,
        hold_until=hold_until,
        revisions=revisions,
        connections=connections or {},
        calls_failed=calls_failed,
    )


def cluster(**scaling: object) -> CallClusterSpec:
    """A CallCluster of 1 to 20 pods; the keywords are fields of spec.scaling, `mode`, `fallback`,
    `rollout` and `drain`."""
    spec = {
        "mode": scaling.pop("mode", "Active"),
        "rollout": scaling.pop("rollout", {}),
        "drain": scaling.pop("drain", {}),
        "capacity": {"participantsPerPod": scaling.pop("capacity", CAPACITY)},
        "metrics": {"fallback": scaling.pop("fallback", "PodStatus")},
        "store": {
            "type": "PostgreSQL",
            "postgresql": {"uriSecretRef": {"name": "calls-db"}},
        },
        "scaling": {"min_replicas": 1, "max_replicas": 20, **scaling},
    }
    return CallClusterSpec.model_validate(spec)


def pool(**scaling: object) -> TurnPoolSpec:
    """A TurnPool of 1 to 20 relays; the keywords are fields of spec.scaling, `mode`, `rollout` and
    `drain`."""
    spec = {
        "mode": scaling.pop("mode", "Active"),
        "rollout": scaling.pop("rollout", {}),
        "drain": scaling.pop("drain", {}),
        "scaling": {"min_replicas": 1, "max_replicas": 20, **scaling},
    }
    return TurnPoolSpec.model_validate(spec)

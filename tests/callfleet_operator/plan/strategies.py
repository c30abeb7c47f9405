"""Anything that may be observed, likely or not."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.observation import (
    Admission,
    CallDemand,
    ConnectionFailures,
    Connections,
    FleetPod,
    Freshness,
    MetricsHealth,
    MetricsProblem,
    NoOutlook,
    Observation,
    Outlook,
    PodLoad,
    Process,
)
from callfleet_operator.plan.decision import FailureStep, Memory
from callfleet_operator.plan.reasons import Reason
from tests.callfleet_operator.plan.samples import (
    NOW,
    OLDER,
    REVISION,
    cluster,
    from_itself,
    known,
    pod,
    pool,
    seconds,
    unknown,
)
from tests.hypothesis_profiles import examples

modest = settings(max_examples=examples(60), deadline=None)
"""No deadline: a busy machine is no fault of the code."""

MODES = ("Active", "ScaleOutOnly", "DryRun", "Paused")

used = st.integers(0, 130)
ages = st.sampled_from([-30.0, 0.0, 20.0, 59.0, 60.0, 179.0, 180.0, 4000.0])
known_loads = st.builds(known, used, stress=st.floats(0, 3))
loads: st.SearchStrategy[PodLoad] = st.one_of(
    known_loads,
    st.builds(from_itself, used),
    st.builds(unknown, st.sampled_from([one for one in Freshness if one is not Freshness.FRESH])),
)


@st.composite
def fleets(draw: st.DrawFn, most: int = 8) -> tuple[FleetPod, ...]:
    """Pods in any state, also in states that contradict themselves."""
    ordinals = draw(st.lists(st.integers(0, 12), max_size=most, unique=True))
    return tuple(
        pod(
            ordinal,
            load=draw(loads),
            admission=draw(st.sampled_from(list(Admission))),
            ready=draw(st.booleans()),
            failure=draw(st.sampled_from(["", "ImagePullBackOff"])),
            terminating=draw(st.booleans()),
            age=draw(ages),
            ready_for=draw(st.none() | ages),
            process=draw(st.sampled_from(list(Process))),
            revision=draw(st.sampled_from([REVISION, "older"])),
            node=draw(st.sampled_from(["", "node-a", "gone"])),
            zone=draw(st.sampled_from(["a", "b"])),
            address=draw(st.sampled_from(["", "10.0.0.1"])),
            requested=draw(st.sampled_from([False, False, True])),
            drain_reason=draw(
                st.sampled_from(["", Reason.SURPLUS, Reason.OUTDATED, Reason.DRAIN_REQUESTED])
            ),
        )
        for ordinal in ordinals
    )


@st.composite
def ready_fleets(draw: st.DrawFn, least: int = 1, most: int = 8) -> tuple[FleetPod, ...]:
    """Ready open pods of known load."""
    given = draw(st.lists(known_loads, min_size=least, max_size=most))
    return tuple(pod(ordinal, load=one) for ordinal, one in enumerate(given))


healths = st.builds(
    MetricsHealth, st.none() | st.sampled_from(list(MetricsProblem)), st.just("detail")
)
demands = st.builds(CallDemand, st.floats(), st.floats(), st.floats(), st.none() | st.floats())
traffic = st.builds(
    CallDemand, st.floats(0, 10), st.floats(0, 7200), st.floats(1, 20), st.none() | st.floats(0, 10)
)
"""Demand that makes sense."""
outlooks = st.builds(NoOutlook, st.just("a reason")) | st.builds(
    Outlook,
    st.floats(0, 1e9),
    st.sampled_from(["day", "week"]),
    st.floats(0, 9),
    st.floats(0, 9),
    st.integers(1, 9),
)
failure_counts = st.builds(
    ConnectionFailures,
    st.integers(-5, 500),
    st.integers(-5, 500),
    st.dictionaries(st.sampled_from(["unauthorized", "expired", "new"]), st.integers(-5, 500)),
    st.none() | st.builds(lambda age: NOW - seconds(age), ages),
)

connections = st.builds(Connections, st.integers(-5, 500), st.integers(-5, 500))

observations = st.builds(
    Observation,
    now=st.just(NOW),
    pods=fleets(),
    metrics=healths,
    unavailable_nodes=st.sampled_from([frozenset[str](), frozenset({"gone"})]),
    demand=st.none() | demands,
    outlook=outlooks,
    failures=st.none() | failure_counts,
    reported_open=st.none() | st.integers(0, 12),
    hold_until=st.none() | st.builds(lambda age: NOW - seconds(age), ages),
    revisions=st.sampled_from([(), (REVISION,), (OLDER, REVISION), (REVISION, OLDER)]),
    unwilling=st.frozensets(st.sampled_from(["uid-0", "uid-1", "uid-2"])),
    connections=st.dictionaries(st.sampled_from(["uid-0", "uid-1", "uid-2"]), connections),
    calls_failed=st.booleans(),
)
memories = st.builds(
    Memory,
    desired_open=st.none() | st.integers(0, 12),
    failure_step=st.none()
    | st.builds(FailureStep, st.builds(lambda age: NOW - seconds(age), ages), st.floats(0, 1)),
    ineffective_steps=st.integers(0, 5),
)


@st.composite
def scalings(draw: st.DrawFn) -> dict[str, object]:
    least = draw(st.integers(1, 5))
    most = draw(st.integers(least, 12))
    return {
        "min_replicas": least,
        "max_replicas": most,
        "max_total_replicas": draw(st.integers(most, 16)),
        "scale_out": {"stabilizationWindowSeconds": draw(st.sampled_from([0, 60]))},
        "scale_in": {"stabilizationWindowSeconds": draw(st.sampled_from([0, 300]))},
        "rollout": {
            "strategy": draw(st.sampled_from(["Drain", "OnDelete"])),
            "maxSurge": draw(st.integers(1, 3)),
        },
    }


schedules = st.lists(
    st.fixed_dictionaries(
        {
            "timeZone": st.sampled_from(["UTC", "Europe/Berlin", "Nowhere"]),
            "cron": st.sampled_from(["0 8 * * *", "*/30 * * * *", "0 0 1 1 *", "no cron at all"]),
            "durationSeconds": st.sampled_from([60, 36_000, 604_800]),
            "minReplicas": st.integers(1, 20),
        }
    ),
    max_size=3,
).map(lambda given: [{**one, "name": f"s{index}"} for index, one in enumerate(given)])


@st.composite
def clusters(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> CallClusterSpec:
    return cluster(
        mode=draw(st.sampled_from(modes)),
        fallback=draw(st.sampled_from(["PodStatus", "Hold"])),
        tolerance_percent=draw(st.sampled_from([0, 10, 50])),
        max_blocking_per_million=draw(st.sampled_from([0, 1, 1000, 1_000_000])),
        schedules=draw(schedules),
        forecast={"mode": draw(st.sampled_from(["Disabled", "Observe", "Floor"]))},
        **draw(scalings()),
    )


@st.composite
def pools(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> TurnPoolSpec:
    return pool(mode=draw(st.sampled_from(modes)), **draw(scalings()))

"""What holds whatever is observed."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.observation import (
    Admission,
    CallDemand,
    FleetPod,
    Observation,
)
from callfleet_operator.plan import engines, relays
from callfleet_operator.plan.classify import classify, utilisation
from callfleet_operator.plan.decision import (
    Cordon,
    Create,
    Decision,
    Delete,
    Memory,
    Steering,
    Step,
    Undrain,
)
from callfleet_operator.plan.fleet import fleet_of, holds_nothing
from callfleet_operator.plan.reasons import Reason, Stage
from callfleet_operator.plan.rollout import rollout
from callfleet_operator.plan.steps import next_steps
from tests.callfleet_operator.plan import strategies as any_
from tests.callfleet_operator.plan.model_fleet import TICK, Call, ModelFleet
from tests.callfleet_operator.plan.samples import (
    CAPACITY,
    NOW,
    cluster,
    known,
    observed,
    pod,
    seconds,
    unknown,
)
from tests.hypothesis_profiles import examples

Spec = CallClusterSpec | TurnPoolSpec
ACTIVE = ("Active",)


def plan(spec: Spec, seen: Observation, memory: Memory) -> tuple[Decision, Memory]:
    if isinstance(spec, CallClusterSpec):
        return engines.plan(spec, seen, memory)
    return relays.plan(spec, seen, memory)


def stepped(spec: Spec, seen: Observation, decision: Decision) -> tuple[Step, ...]:
    return next_steps(
        decision,
        seen,
        max_total=spec.max_total_replicas,
        revision=seen.update_revision,
        rollout=rollout(spec, seen),
    )


def settled(spec: Spec, seen: Observation, memory: Memory) -> Decision:
    """The decision after the same has been seen for longer than every window."""
    for age in (700, 400, 200, 100):
        _, after = plan(spec, replace(seen, now=NOW - seconds(age)), memory)
        memory = replace(after, desired_open=memory.desired_open, scale_events=())
    return plan(spec, seen, memory)[0]


specs = any_.clusters() | any_.pools()
active = any_.clusters(ACTIVE) | any_.pools(ACTIVE)


@any_.modest
@given(specs, any_.observations, any_.memories)
def test_every_input_gives_a_decision_and_the_same_one_again(
    spec: Spec, seen: Observation, memory: Memory
) -> None:
    decision, after = plan(spec, seen, memory)

    assert plan(spec, seen, memory) == (decision, after)
    assert decision.decisive in decision.trace
    assert stepped(spec, seen, decision) == stepped(spec, seen, decision)
    plan(spec, replace(seen, now=seen.now + TICK), after)


@any_.modest
@given(active, any_.observations, any_.memories)
def test_bounds_always_hold(spec: Spec, seen: Observation, memory: Memory) -> None:
    decision, _ = plan(spec, replace(seen, hold_until=None), memory)

    assert spec.scaling.min_replicas <= decision.desired_open <= spec.scaling.max_replicas


@any_.modest
@given(specs, any_.observations, any_.memories)
def test_nothing_is_given_up_on_unknown_stale_or_partial_data(
    spec: Spec, seen: Observation, memory: Memory
) -> None:
    load, _ = classify(fleet_of(seen), 0)
    assume(seen.metrics.problem is not None or not load.complete)

    decision = settled(spec, seen, memory)

    assert decision.desired_open >= min(decision.present_open, spec.scaling.max_replicas)
    assert decision.drain_above >= spec.scaling.max_replicas


@any_.modest
@given(active, any_.ready_fleets(), st.integers(0, 12))
def test_never_fewer_than_what_is_in_use_needs(
    spec: Spec, pods: tuple[FleetPod, ...], present: int
) -> None:
    decision = settled(spec, observed(*pods), Memory(desired_open=present))

    needed = math.ceil(sum((utilisation(one)[0] for one in pods), Fraction(0)))
    assert decision.desired_open >= min(needed, present, spec.scaling.max_replicas)


@any_.modest
@given(active, any_.ready_fleets(), st.integers(0, 12), st.data())
def test_more_load_never_means_fewer_pods(
    spec: Spec, pods: tuple[FleetPod, ...], present: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(pods) - 1))
    more = data.draw(st.integers(1, 100))
    fuller = replace(pods[index], load=known(pods[index].load.used.low + more, stress=3))
    memory = Memory(desired_open=present)

    less = settled(spec, observed(*pods), memory).desired_open
    greater = settled(
        spec, observed(*pods[:index], fuller, *pods[index + 1 :]), memory
    ).desired_open

    assert greater >= less


@any_.modest
@given(any_.clusters(ACTIVE), any_.ready_fleets(), any_.traffic, st.floats(1, 5))
def test_more_calls_never_mean_fewer_pods(
    spec: CallClusterSpec, pods: tuple[FleetPod, ...], demand: CallDemand, factor: float
) -> None:
    hourly = demand.hourly_arrivals_per_second
    more = replace(
        demand,
        arrivals_per_second=demand.arrivals_per_second * factor,
        hourly_arrivals_per_second=None if hourly is None else hourly * factor,
    )
    less = settled(spec, observed(*pods, demand=demand), Memory())
    greater = settled(spec, observed(*pods, demand=more), Memory())

    assert greater.asked.low >= less.asked.low
    assert greater.desired_open >= less.desired_open


@any_.modest
@given(any_.clusters(), any_.observations, any_.memories)
def test_floors_only_ever_raise(spec: CallClusterSpec, seen: Observation, memory: Memory) -> None:
    decision, _ = plan(spec, seen, memory)

    for record in decision.trace:
        if record.stage in (
            Stage.FREE_ROOM,
            Stage.ERLANG,
            Stage.SCHEDULE,
            Stage.FORECAST,
            Stage.FLOORS,
        ):
            assert record.after.low >= record.before.low
            assert record.after.high >= record.before.high


@any_.modest
@given(st.integers(5, 15), st.data())
def test_one_missing_pod_does_not_freeze_scale_out(number: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, number - 1))
    pods = [
        pod(ordinal, load=unknown() if ordinal == missing else known(CAPACITY))
        for ordinal in range(number)
    ]

    assert engines.plan(cluster(), observed(*pods), Memory())[0].desired_open > number


@any_.modest
@given(specs, any_.observations, any_.memories)
def test_only_pods_that_hold_nothing_and_take_nothing_are_deleted(
    spec: Spec, seen: Observation, memory: Memory
) -> None:
    decision, _ = plan(spec, seen, memory)
    for step in stepped(spec, seen, decision):
        if isinstance(step, Delete):
            assert step.pod.admission is not Admission.OPEN
            assert holds_nothing(step.pod)
            assert not step.pod.terminating


@any_.modest
@given(specs, any_.observations, any_.memories)
def test_steps_keep_ordinals_totals_and_serving_pods(
    spec: Spec, seen: Observation, memory: Memory
) -> None:
    decision, _ = plan(spec, seen, memory)
    taken = stepped(spec, seen, decision)
    fleet = fleet_of(seen)
    made = [step.ordinal for step in taken if isinstance(step, Create)]
    touched = [step.pod.uid for step in taken if not isinstance(step, Create)]
    cordoned = [step for step in taken if isinstance(step, Cordon)]

    assert len(touched) == len(set(touched))
    assert len({*made, *(one.ordinal for one in seen.pods)}) == len(made) + len(seen.pods)
    assert not made or fleet.total + len(made) <= spec.max_total_replicas
    if decision.steering is not Steering.FULL:
        assert not made
        assert not cordoned

    serving = [one for one in fleet.open if one.ready]
    left = len(serving) - sum(1 for step in cordoned if step.pod.ready)
    # where there is never room for a replacement one pod goes all the same
    without_room = [
        step
        for step in cordoned
        if step.reason in (Reason.NODE_UNAVAILABLE, Reason.DRAIN_REQUESTED)
        or (step.reason == Reason.OUTDATED and rollout(spec, seen).drains_first)
    ]
    exception = bool(without_room) and fleet.total >= spec.max_total_replicas and not fleet.leaving
    assert left + exception >= min(decision.desired_open, len(serving))


@any_.modest
@given(specs, any_.observations, any_.memories)
def test_a_rollout_stays_within_its_surge_and_touches_nothing_unless_it_is_under_way(
    spec: Spec, seen: Observation, memory: Memory
) -> None:
    decision, _ = plan(spec, seen, memory)
    found = rollout(spec, seen)
    taken = stepped(spec, seen, decision)
    replaced = [s for s in taken if isinstance(s, Cordon) and s.reason == Reason.OUTDATED]
    gained = [step for step in taken if isinstance(step, Create)]
    lost = {s.pod.uid for s in taken if isinstance(s, Cordon)}
    fleet = fleet_of(seen)
    usable = [one for one in fleet.ready + fleet.starting if one.uid not in lost]

    assert found.under_way or not replaced
    surge = spec.rollout.max_surge if found.under_way else 0
    assert not gained or len(usable) + len(gained) <= decision.desired_open + surge
    for step in taken:
        if isinstance(step, Undrain) and step.pod not in fleet.open:
            assert step.pod.admission is Admission.CORDONED
            assert not step.pod.drain_requested
            assert step.pod.drain_reason
            back = step.pod.drain_reason == Reason.DRAIN_REQUESTED
            assert back or step.pod.node not in seen.unavailable_nodes


@any_.modest
@given(specs, any_.observations, any_.memories)
def test_no_drain_begins_because_of_load_that_is_not_known(
    spec: Spec, seen: Observation, memory: Memory
) -> None:
    decision, _ = plan(spec, seen, memory)
    load, _ = classify(fleet_of(seen), 0)
    assume(not load.complete)
    fleet = fleet_of(seen)
    assume(len(fleet.open) <= spec.scaling.max_replicas)

    for step in stepped(spec, seen, decision):
        if isinstance(step, Cordon):
            assert step.reason != Reason.SURPLUS


@settings(any_.modest, max_examples=examples(25))
@given(
    st.lists(st.integers(0, CAPACITY), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(3, 12),
)
def test_constant_load_comes_to_rest_and_no_pod_in_use_goes(
    participants: list[int], least: int, most: int
) -> None:
    scaling = {
        "scale_in": {"stabilizationWindowSeconds": 60, "periodSeconds": 15},
        "min_replicas": least,
        "max_replicas": most,
    }
    fleet = ModelFleet(cluster(**scaling))
    fleet.add_ready_pods(len(participants))
    for ordinal, number in enumerate(participants):
        fleet.pods[ordinal].calls.append(Call(number, fleet.now + seconds(1e6)))
    for _ in range(80):
        fleet.round()

    assert len(set(fleet.opened[-20:])) == 1
    assert fleet.lost == 0
    assert fleet.opened[-1] >= min(most, math.ceil(Fraction(sum(participants), CAPACITY)))

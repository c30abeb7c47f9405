"""The whole plan of a CallCluster: examples that one can check by hand, 100 participants a pod."""

from __future__ import annotations

import pytest

from callfleet_operator.observation import (
    Admission,
    CallDemand,
    Freshness,
    MetricsHealth,
    MetricsProblem,
    Observation,
    Process,
)
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Decision, Memory, Steering
from callfleet_operator.plan.reasons import Reason, Stage
from tests.callfleet_operator.plan.samples import (
    AWAY,
    NOW,
    cluster,
    from_itself,
    known,
    loaded,
    observed,
    pod,
    seconds,
    starting,
    unknown,
)


def decide(seen: Observation, **scaling: object) -> Decision:
    return engines.plan(cluster(**scaling), seen, Memory())[0]


def reason(decision: Decision, stage: Stage) -> str:
    return next(record.reason for record in decision.trace if record.stage == stage)


def after_window(seen: Observation, **scaling: object) -> Decision:
    """The decision when the same has been seen for more than the scale-in window."""
    spec, memory = cluster(**scaling), Memory()
    for age in range(330, 0, -15):
        earlier = Observation(NOW - seconds(age), seen.pods, seen.metrics, demand=seen.demand)
        _, memory = engines.plan(spec, earlier, memory)
    return engines.plan(spec, seen, memory)[0]


@pytest.mark.parametrize(
    ("used", "wanted"),
    [
        ((70,), 1),
        ((77,), 1),  # within the tolerance of 10 %
        ((78,), 2),
        ((70, 70, 70), 3),  # exactly the target: floats would make it 4
        ((90, 90, 90), 4),
        ((100, 100, 100, 100), 6),
    ],
)
def test_scales_out_when_the_load_is_above_target_and_tolerance(
    used: tuple[int, ...], wanted: int
) -> None:
    assert decide(observed(*loaded(*used))).desired_open == wanted


@pytest.mark.parametrize(
    ("used", "wanted"),
    [
        ((10, 10, 10), 2),  # one a minute, though one pod would do
        ((63, 0), 1),  # 63 % on one pod is target x 0.9
        ((64, 0), 2),
        ((0,), 1),
    ],
)
def test_scales_in_only_to_what_stays_clear_of_the_target(
    used: tuple[int, ...], wanted: int
) -> None:
    assert after_window(observed(*loaded(*used))).desired_open == wanted


def test_a_restart_gives_nothing_up_before_a_whole_window_has_passed() -> None:
    decision = decide(observed(*loaded(0, 0, 0)))

    assert decision.desired_open == 3
    assert reason(decision, Stage.STABILIZATION) == Reason.SCALE_IN_STABILIZED


@pytest.mark.parametrize(
    ("reported", "present"),
    [
        (None, 4),
        (2, 2),  # two of the four are replacements of two that wait for them
        (6, 4),  # two died while no operator looked: the load decides whether they are missed
    ],
)
def test_a_restart_begins_with_what_exists_and_was_reported(
    reported: int | None, present: int
) -> None:
    moving = [pod(ordinal, node="gone") for ordinal in range(2)]
    seen = observed(
        *moving,
        pod(2),
        pod(3),
        reported_open=reported,
        unavailable_nodes=frozenset({"gone"}),
    )

    assert decide(seen).present_open == present


def test_people_on_draining_pods_count_as_they_will_call_again() -> None:
    draining = pod(1, load=known(80), admission=Admission.CORDONED)

    assert decide(observed(pod(0, load=known(60)), draining)).desired_open == 2


def test_starting_pods_count_as_capacity() -> None:
    seen = observed(*loaded(100, 100), starting(2))

    assert decide(seen).desired_open == 3


def test_an_empty_cluster_starts_with_min_replicas_without_prometheus() -> None:
    decision = decide(observed(metrics=AWAY), min_replicas=3, fallback="Hold")

    assert decision.desired_open == 3


def test_one_missing_pod_does_not_freeze_a_large_fleet() -> None:
    pods = (*loaded(*[100] * 9), pod(9, load=unknown()))

    decision = decide(observed(*pods))

    # 9 full pods over 70 % are 12.9
    assert decision.desired_open == 13


def test_one_missing_pod_keeps_every_pod() -> None:
    pods = (*loaded(0, 0, 0), pod(3, load=unknown(Freshness.STALE)))

    decision = after_window(observed(*pods))

    assert decision.desired_open == 4
    assert decision.drain_above == 20


def test_a_whole_outage_keeps_every_pod_and_names_the_silent_ones() -> None:
    pods = [pod(ordinal, load=unknown()) for ordinal in range(6)]

    decision = after_window(observed(*pods, metrics=AWAY))

    assert decision.desired_open == 6
    assert "demo-engine-0" in decision.trace[0].message


def test_without_prometheus_the_pods_themselves_may_ask_for_more() -> None:
    pods = [pod(ordinal, load=from_itself(100)) for ordinal in range(3)]

    assert decide(observed(*pods, metrics=AWAY)).desired_open == 5


def test_without_prometheus_the_pods_themselves_never_ask_for_fewer() -> None:
    pods = [pod(ordinal, load=from_itself(0)) for ordinal in range(3)]

    decision = after_window(observed(*pods, metrics=AWAY))

    assert decision.desired_open == 3
    assert reason(decision, Stage.CERTAINTY) == Reason.HOLDING


def test_with_fallback_hold_not_even_more() -> None:
    pods = [pod(ordinal, load=from_itself(100)) for ordinal in range(3)]

    decision = decide(observed(*pods, metrics=AWAY), fallback="Hold")

    assert decision.desired_open == 3
    assert reason(decision, Stage.CERTAINTY) == Reason.HOLDING


def test_answers_that_are_not_whole_may_ask_for_more_and_never_for_fewer() -> None:
    """A store that is away takes calls and arrivals out of the sums, whatever pods are there."""
    partial = MetricsHealth(MetricsProblem.PARTIAL, "store eu-1 did not answer")

    assert decide(observed(*loaded(100, 100, 100), metrics=partial)).desired_open == 5
    fewer = after_window(observed(*loaded(0, 0, 0), metrics=partial))
    assert fewer.desired_open == 3
    assert fewer.drain_above == 20
    assert reason(fewer, Stage.CERTAINTY) == Reason.HOLDING


def test_room_for_arrivals_is_a_floor_that_the_tolerance_does_not_mask() -> None:
    demand = CallDemand(arrivals_per_second=0.1, mean_duration_seconds=600, mean_participants=5)

    decision = decide(observed(*loaded(60), demand=demand))

    # reaction 30 s + 10 s: 4 arrivals and 3 x 2 in reserve, with 12 calls under way 22 of 17 a pod
    assert decision.desired_open == 2
    assert decision.decisive.reason == Reason.ROOM_FOR_ARRIVALS


def test_scale_out_is_limited_by_its_rate() -> None:
    decision = decide(observed(*loaded(*[100] * 10)))

    assert decision.desired_open == 14
    assert decision.limited is not None
    assert decision.limited.reason == Reason.SCALE_OUT_RATE


def test_bounds_hold_at_once() -> None:
    assert decide(observed(*loaded(*[0] * 12)), max_replicas=5).desired_open == 5
    assert decide(observed(*loaded(0)), min_replicas=9).desired_open == 9


def test_pods_that_do_not_start_are_replaced_only_up_to_max_total() -> None:
    dead = [
        pod(ordinal, ready=False, failure="ImagePullBackOff", process=Process.NEVER_STARTED)
        for ordinal in range(3)
    ]

    decision = decide(observed(*dead), max_replicas=2, max_total_replicas=3, min_replicas=2)

    assert decision.desired_open == 2
    assert decision.limited is not None
    assert decision.limited.reason == Reason.TOTAL_REACHED
    assert "demo-engine-0" in decision.limited.message


@pytest.mark.parametrize(
    ("mode", "steering", "desired"),
    [
        ("Active", Steering.FULL, 2),
        ("ScaleOutOnly", Steering.FULL, 2),
        ("DryRun", Steering.DRAINS_ONLY, 1),
        ("Paused", Steering.NONE, 1),
    ],
)
def test_modes_of_a_scale_out(mode: str, steering: Steering, desired: int) -> None:
    decision = decide(observed(*loaded(90)), mode=mode)

    assert (decision.steering, decision.desired_open) == (steering, desired)
    assert decision.would_scale_to == 2


def test_scale_out_only_never_scales_in() -> None:
    decision = after_window(observed(*loaded(0, 0, 0)), mode="ScaleOutOnly")

    assert (decision.desired_open, decision.would_scale_to) == (3, 2)
    assert decision.drain_above == 20


def test_hold_until_keeps_the_number_until_then() -> None:
    held = decide(observed(*loaded(90), hold_until=NOW + seconds(60)))
    over = decide(observed(*loaded(90), hold_until=NOW))

    assert (held.desired_open, over.desired_open) == (1, 2)


def test_dry_run_leaves_nothing_behind_that_active_would_act_on() -> None:
    _, memory = engines.plan(cluster(mode="DryRun"), observed(*loaded(90)), Memory())

    assert memory.desired_open is None
    assert memory.scale_events == ()


def test_a_pod_that_dies_is_made_again_as_the_number_stays() -> None:
    spec = cluster()
    _, memory = engines.plan(spec, observed(*loaded(60, 60, 60)), Memory())

    decision, _ = engines.plan(spec, observed(*loaded(60, 60)), memory)

    assert decision.desired_open == 3


def test_the_trace_names_every_stage_in_order() -> None:
    stages = [record.stage for record in decide(observed(*loaded(90))).trace]

    assert stages == [stage for stage in Stage if stage is not Stage.FAILURES]


@pytest.mark.parametrize(
    ("used", "scaling", "stage"),
    [
        ((90,), {}, Stage.UTILIZATION),
        ((0,), {"min_replicas": 3}, Stage.FLOORS),
        ((0, 0, 0), {"max_replicas": 2}, Stage.BOUNDS),
        ((90,), {"mode": "DryRun"}, Stage.MODE),
        ((100,), {"max_replicas": 1}, Stage.BOUNDS),
        ((70,), {}, Stage.STABILIZATION),
    ],
)
def test_the_decisive_stage_is_the_one_a_person_would_name(
    used: tuple[int, ...], scaling: dict[str, object], stage: Stage
) -> None:
    assert decide(observed(*loaded(*used)), **scaling).decisive.stage == stage

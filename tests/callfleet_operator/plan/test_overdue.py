"""Drains that have lasted longer than they should."""

from __future__ import annotations

from dataclasses import replace

from callfleet_operator.observation import Admission, FleetPod
from callfleet_operator.plan.decision import Drain, Steering
from callfleet_operator.plan.steps import next_steps
from tests.callfleet_operator.plan.samples import REVISION, known, observed, pod, seconds
from tests.callfleet_operator.plan.test_steps import decided, steps

CORDONED = Admission.CORDONED
AFTER = seconds(600)


def told(*pods: FleetPod, steering: Steering = Steering.FULL) -> dict[int, bool]:
    taken = next_steps(
        decided(1, steering=steering),
        observed(pod(0), *pods),
        max_total=10,
        revision=REVISION,
        reconnect_after=AFTER,
    )
    return {step.pod.ordinal: step.reconnect for step in taken if isinstance(step, Drain)}


def test_calls_are_moved_from_the_deadline_on() -> None:
    late = pod(1, load=known(3), admission=CORDONED, draining_for=600)
    soon = pod(2, load=known(3), admission=CORDONED, draining_for=599)
    by_hand = replace(pod(3, load=known(3), admission=CORDONED), drain_started=None)

    assert told(late, soon, by_hand) == {1: True, 2: False, 3: False}


def test_in_dry_run_as_drains_under_way_finish() -> None:
    late = pod(1, load=known(3), admission=CORDONED, draining_for=600)

    assert told(late, steering=Steering.DRAINS_ONLY) == {1: True}
    assert told(late, steering=Steering.NONE) == {}


def test_where_they_wait_nobody_is_told() -> None:
    late = pod(1, load=known(3), admission=CORDONED, draining_for=600000)

    assert steps(decided(1), pod(0), late) == (Drain(late),)

"""The whole plan of a TurnPool: users refused, saturation, and steps that do not help."""

from __future__ import annotations

from datetime import datetime

import pytest

from callfleet_operator.observation import ConnectionFailures, FleetPod
from callfleet_operator.plan import relays
from callfleet_operator.plan.decision import Decision, FailureStep, Memory
from callfleet_operator.plan.reasons import Reason, Stage
from tests.callfleet_operator.plan.samples import (
    NOW,
    known,
    loaded,
    observed,
    pod,
    pool,
    seconds,
    starting,
)

START = NOW - seconds(300)


def refused(part: int, of: int, *, since: datetime | None = START) -> ConnectionFailures:
    return ConnectionFailures(tried=of, refused_for_capacity=part, since=since)


def decide(
    pods: tuple[FleetPod, ...], failures: ConnectionFailures | None, memory: Memory | None = None
) -> tuple[Decision, Memory]:
    seen = observed(*pods, failures=failures)
    return relays.plan(pool(), seen, memory or Memory())


def reason(decision: Decision) -> str:
    return next(one.reason for one in decision.trace if one.stage == Stage.FAILURES)


@pytest.mark.parametrize(
    ("failures", "wanted", "why"),
    [
        (None, 3, Reason.FAILURES_UNKNOWN),
        (refused(49, 49), 3, Reason.TOO_FEW_ATTEMPTS),
        (refused(1, 50), 3, Reason.FAILURES_WITHIN_LIMIT),  # 2 % is the limit
        (refused(2, 50), 4, Reason.USERS_REFUSED),  # ceil(3 x 4 %) = 1
        (refused(50, 100), 5, Reason.USERS_REFUSED),  # ceil(3 x 50 %) = 2
        (refused(100, 100), 6, Reason.USERS_REFUSED),
        (refused(400, 100), 6, Reason.USERS_REFUSED),
        (refused(0, 0), 3, Reason.TOO_FEW_ATTEMPTS),
        (ConnectionFailures(60, 0, {"unauthorized": 500}), 3, Reason.FAILURES_WITHIN_LIMIT),
    ],
)
def test_users_refused_add_relays_and_other_causes_never(
    failures: ConnectionFailures | None, wanted: int, why: Reason
) -> None:
    decision, _ = decide(loaded(40, 40, 40), failures)

    assert (decision.desired_open, reason(decision)) == (wanted, why)


def test_an_empty_pool_of_which_users_are_refused_gets_a_relay() -> None:
    assert decide((), refused(60, 60))[0].desired_open == 1


def test_saturation_adds_relays_without_any_failure() -> None:
    decision, _ = decide(loaded(90, 90, 90), refused(0, 100))

    assert decision.desired_open == 4
    assert decision.decisive.stage == Stage.UTILIZATION


def test_stress_counts_as_saturation() -> None:
    stressed = tuple(pod(ordinal, load=known(1, stress=0.95)) for ordinal in range(3))

    assert decide(stressed, refused(0, 100))[0].desired_open == 5


def test_while_relays_start_no_step_is_taken() -> None:
    decision, memory = decide((*loaded(99, 20), starting(2)), refused(50, 100))

    assert (decision.desired_open, reason(decision)) == (3, Reason.AWAITING_EFFECT)
    assert memory.failure_step is None


def test_a_step_is_not_taken_again_for_users_counted_before_it() -> None:
    decided, memory = decide(loaded(40, 40, 40), refused(50, 100))
    assert decided.desired_open == 5
    grown = loaded(40, 40, 40, 0, 0)

    waiting, waited = decide(grown, refused(50, 100), memory)
    judged, _ = decide(grown, refused(50, 100, since=NOW), waited)

    assert (waiting.desired_open, reason(waiting)) == (5, Reason.AWAITING_EFFECT)
    # 5 + 3 are asked for, and 2 of scaleOut.maxPods 4 are used up
    assert judged.asked.low == 8
    assert (judged.desired_open, reason(judged)) == (7, Reason.USERS_REFUSED)


@pytest.mark.parametrize(
    ("before", "now", "ineffective"),
    [(0.5, 50, 3), (0.5, 46, 3), (0.5, 45, 0), (0.5, 10, 0)],
)
def test_a_step_that_lowers_failures_by_a_tenth_has_helped(
    before: float, now: int, ineffective: int
) -> None:
    step = FailureStep(START, before)
    memory = Memory(failure_step=step, ineffective_steps=2)

    decision, after = decide(loaded(40, 40), refused(now, 100), memory)

    assert after.ineffective_steps == ineffective
    assert decision.scale_out_ineffective is (ineffective == 3)


def test_steps_that_do_not_help_stop_and_go_on_when_failures_have_ended() -> None:
    stopped = Memory(ineffective_steps=3)

    still, kept = decide(loaded(40, 40), refused(50, 100), stopped)
    quiet, _ = decide(loaded(40, 40), refused(5, 10), stopped)
    ended, cleared = decide(loaded(40, 40), refused(0, 100), kept)

    assert (still.desired_open, still.scale_out_ineffective) == (2, True)
    assert quiet.scale_out_ineffective, "too few users tell nothing new"
    assert not ended.scale_out_ineffective
    assert cleared.ineffective_steps == 0


def test_saturation_goes_on_adding_relays_when_steps_have_stopped() -> None:
    decision, _ = decide(loaded(95, 95), refused(50, 100), Memory(ineffective_steps=3))

    assert decision.desired_open == 3


def test_at_max_replicas_no_step_counts_as_in_vain() -> None:
    spec = pool(max_replicas=2)
    seen = observed(*loaded(40, 40), failures=refused(50, 100))

    decision, memory = relays.plan(spec, seen, Memory())

    assert decision.desired_open == 2
    assert decision.limited is not None
    assert decision.limited.reason == Reason.TOO_MANY
    assert memory.failure_step is None


def first_scale_in(*refusals: ConnectionFailures | None) -> int | None:
    """Seconds after which a relay is given up by three that are nearly idle, with one entry of
    `refusals` a tick of 15 s."""
    memory = Memory()
    for tick, failures in enumerate(refusals):
        seen = observed(*loaded(10, 10, 10), now=NOW + seconds(15 * tick), failures=failures)
        decision, memory = relays.plan(pool(), seen, memory)
        if decision.desired_open < 3:
            return 15 * tick
    return None


@pytest.mark.parametrize(
    ("failures", "after"),
    [
        (refused(0, 100), 315),
        (refused(0, 0), 315),
        (refused(1, 100), None),  # within the limit, but somebody is refused
        (None, None),
    ],
)
def test_scales_in_on_saturation_only_while_nobody_is_refused(
    failures: ConnectionFailures | None, after: int | None
) -> None:
    assert first_scale_in(*[failures] * 30) == after


def test_one_refused_user_keeps_every_relay_for_another_window() -> None:
    nobody, somebody = refused(0, 100), refused(1, 100)

    assert first_scale_in(*[nobody] * 20, somebody, *[nobody] * 30) == 20 * 15 + 315


class TestFailureWindow:
    def window(self, *pods: FleetPod) -> float:
        start = relays.failure_window_start(pool(), observed(*pods))
        return (NOW - start).total_seconds()

    def test_is_window_seconds_long(self) -> None:
        assert self.window(*loaded(0)) == 300
        assert self.window() == 300

    def test_starts_when_the_relay_added_last_served(self) -> None:
        assert self.window(pod(0), pod(1, age=90, ready_for=40)) == 40

    def test_an_older_relay_that_flaps_does_not_cut_it(self) -> None:
        assert self.window(pod(0, ready_for=5), pod(1, age=900, ready_for=880)) == 300

    def test_never_starts_in_the_future(self) -> None:
        assert self.window(pod(1, age=90, ready_for=-40)) == 0

"""Relays are added while users are refused for want of relay capacity, as long as that helps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from callfleet_operator.observation import ConnectionFailures
from callfleet_operator.plan.decision import FailureStep, Proposal, StageRecord
from callfleet_operator.plan.fleet import Fleet
from callfleet_operator.plan.reasons import Reason, Stage

HELPED: Final = Fraction(9, 10)
"""A step that left more than this part of the failure ratio did not help: a smaller change is
noise at minAttempts."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What is known of the scale-outs because of failures."""

    step: FailureStep | None
    """The latest one, while its effect is not known."""
    ineffective_steps: int
    """Steps in a row that did not help."""
    asks_for_step: bool = False
    """Whether this round asks for another one."""
    stopped: bool = False
    """Whether it would, had the former ones helped."""


def window_start(now: datetime, fleet: Fleet, window: timedelta) -> datetime:
    """From when on users count: no earlier than the relay added last has served, so that a step is
    not taken twice for the same failures."""
    latest = max(fleet.ready, key=lambda pod: pod.created, default=None)
    serving_since = latest.ready_changed if latest and latest.ready_changed else now - window
    return min(now, max(now - window, serving_since))


def failure_ratio(failures: ConnectionFailures) -> Fraction:
    """Users refused for want of capacity over users who tried, 0 to 1."""
    if failures.tried <= 0:
        return Fraction(0)
    return Fraction(min(max(0, failures.refused_for_capacity), failures.tried), failures.tried)


def failures(
    before: Proposal,
    counted: ConnectionFailures | None,
    fleet: Fleet,
    past: Effect,
    *,
    present: int,
    max_failure_percent: int,
    min_attempts: int,
    max_ineffective_steps: int,
) -> tuple[Proposal, StageRecord, Effect]:
    """Ask for more relays while more users than the limit are refused, one step at a time.

    A step is judged when its relays are ready, or past their start budget, and users have been
    counted since. While a single user is refused, or it is not known whether one is, none is
    given up.
    """
    unchanged = Effect(
        past.step,
        past.ineffective_steps,
        stopped=past.ineffective_steps >= max_ineffective_steps,
    )
    if counted is None:
        message = "How many users were refused is not known: no relay is given up."
        record = _record(before, _kept(before, present), Reason.FAILURES_UNKNOWN, message)
        return record.after, record, unchanged
    ratio = failure_ratio(counted)
    least = _kept(before, present) if ratio else before
    said = (
        f"{counted.refused_for_capacity} of {counted.tried} users were refused for want of relay "
        f"capacity ({_percent(ratio)})"
    )
    if counted.tried < min_attempts:
        message = f"{said}; fewer than minAttempts {min_attempts} say nothing yet."
        record = _record(before, least, Reason.TOO_FEW_ATTEMPTS, message)
        return record.after, record, unchanged
    if ratio * 100 <= max_failure_percent:
        message = f"{said}, within maxFailurePercent {max_failure_percent} %."
        record = _record(before, least, Reason.FAILURES_WITHIN_LIMIT, message)
        return record.after, record, Effect(None, 0)
    if not _judgeable(past.step, counted, fleet):
        message = f"{said}; relays were added and their effect is not known yet."
        record = _record(before, least, Reason.AWAITING_EFFECT, message)
        return record.after, record, unchanged
    ineffective = _ineffective_steps(past, ratio)
    if ineffective >= max_ineffective_steps:
        message = (
            f"{said}, as before the last {ineffective} scale-outs: more relays do not help, so "
            "none are added because of failures."
        )
        record = _record(before, least, Reason.SCALE_OUT_INEFFECTIVE, message)
        return record.after, record, Effect(None, ineffective, stopped=True)
    wanted = present + max(1, math.ceil(present * ratio))
    message = f"{said}, more than maxFailurePercent {max_failure_percent} %: {wanted} relays."
    record = _record(before, before.at_least(wanted), Reason.USERS_REFUSED, message)
    return record.after, record, Effect(None, ineffective, asks_for_step=True)


def _kept(before: Proposal, present: int) -> Proposal:
    return Proposal(before.low, max(before.high, present))


def _judgeable(step: FailureStep | None, counted: ConnectionFailures, fleet: Fleet) -> bool:
    if fleet.starting:
        return False
    return step is None or (counted.since is not None and counted.since >= step.at)


def _ineffective_steps(past: Effect, ratio: Fraction) -> int:
    if past.step is None:
        return past.ineffective_steps
    helped = ratio <= HELPED * Fraction(past.step.failure_ratio)
    return 0 if helped else past.ineffective_steps + 1


def _record(before: Proposal, after: Proposal, reason: Reason, message: str) -> StageRecord:
    return StageRecord(Stage.FAILURES, before, after, reason, message)


def _percent(ratio: Fraction) -> str:
    return f"{float(ratio * 100):.1f} %"

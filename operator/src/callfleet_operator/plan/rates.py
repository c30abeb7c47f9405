"""How much the number may change within a period."""

from __future__ import annotations

from datetime import datetime, timedelta

from callfleet_operator.plan.decision import Proposal, ScaleEvent, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage


def rates(
    number: int,
    past: tuple[ScaleEvent, ...],
    *,
    now: datetime,
    present: int,
    out_pods: int,
    out_period: timedelta,
    in_pods: int,
    in_period: timedelta,
) -> tuple[int, StageRecord]:
    """Cut a change to what its period leaves of maxPods."""
    added = sum(one.change for one in past if one.change > 0 and one.at > now - out_period)
    drained = -sum(one.change for one in past if one.change < 0 and one.at > now - in_period)
    most = present + max(0, out_pods - added)
    least = present - max(0, in_pods - drained)
    before = Proposal.exactly(number)
    after = min(max(number, least), most)
    if after < number:
        reason = Reason.SCALE_OUT_RATE
        message = (
            f"{number} open pods are asked for; scaleOut.maxPods {out_pods} within "
            f"{out_period.total_seconds():.0f} s allows {after} for now."
        )
    elif after > number:
        reason = Reason.SCALE_IN_RATE
        message = (
            f"{number} open pods would do; scaleIn.maxPods {in_pods} within "
            f"{in_period.total_seconds():.0f} s allows {after} for now."
        )
    else:
        reason, message = Reason.WITHIN_RATES, "The change is within its rate."
    return after, StageRecord(Stage.RATES, before, Proposal.exactly(after), reason, message)


def remember(
    past: tuple[ScaleEvent, ...],
    change: int,
    *,
    now: datetime,
    out_period: timedelta,
    in_period: timedelta,
) -> tuple[ScaleEvent, ...]:
    """Changes that still count against a rate, with the new one; none from a clock set back."""
    longest = max(out_period, in_period)
    kept = tuple(one for one in past if now - longest < one.at <= now)
    return (*kept, ScaleEvent(now, change)) if change else kept

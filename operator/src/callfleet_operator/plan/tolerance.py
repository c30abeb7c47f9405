"""Third stage: a load close to the target changes nothing."""

from __future__ import annotations

import math

from callfleet_operator.plan.classify import FleetLoad
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage


def tolerance(
    before: Proposal,
    load: FleetLoad,
    present: int,
    *,
    target_percent: int,
    tolerance_percent: int,
) -> tuple[Proposal, StageRecord]:
    """Ask for more pods only above target x (1 + tolerance), and for fewer only so many that the
    rest stays at or under target x (1 - tolerance).

    It speaks of utilisation alone: room for arrivals and the other floors come after it. Both
    limits together leave no number that two loads apart by nothing could swing between.
    """
    upper = present * target_percent * (100 + tolerance_percent)
    lower = target_percent * (100 - tolerance_percent)
    low, high = before.low, before.high
    if low > present and load.low * 10_000 <= upper:
        low = present
    if high > present and load.high * 10_000 <= upper:
        high = present
    elif high < present:
        high = min(present, max(high, math.ceil(load.high * 10_000 / lower)))
    after = Proposal(low, high)
    if after == before:
        return after, StageRecord(
            Stage.TOLERANCE,
            before,
            after,
            Reason.OUTSIDE_TOLERANCE,
            "The tolerance changes nothing.",
        )
    message = (
        f"Within {tolerance_percent} % of the target of {target_percent} % the present {present} "
        f"open pods stay: {after} instead of {before}."
    )
    return after, StageRecord(Stage.TOLERANCE, before, after, Reason.WITHIN_TOLERANCE, message)

"""Third stage: a load close to the target changes nothing."""

from __future__ import annotations

import math
from fractions import Fraction

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
    after = Proposal(
        _end(before.low, load.low, present, target_percent, tolerance_percent),
        _end(before.high, load.high, present, target_percent, tolerance_percent),
    )
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


def _end(
    needed: int, load: Fraction, present: int, target_percent: int, tolerance_percent: int
) -> int:
    per_ten_thousand = load * 10_000
    if needed > present:
        upper = present * target_percent * (100 + tolerance_percent)
        return present if per_ten_thousand <= upper else needed
    clear = math.ceil(per_ten_thousand / (target_percent * (100 - tolerance_percent)))
    return min(present, max(needed, clear))

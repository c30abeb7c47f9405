"""Last stage: how far the owner lets the operator go."""

from __future__ import annotations

from datetime import datetime

from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.plan.decision import Proposal, StageRecord, Steering
from callfleet_operator.plan.reasons import Reason, Stage


def mode(
    number: int,
    *,
    setting: Mode,
    hold_until: datetime | None,
    now: datetime,
    present: int,
) -> tuple[int, StageRecord]:
    """The number that takes effect."""
    before = Proposal.exactly(number)
    after, reason, message = number, Reason.ACTIVE, f"Steering to {number} open pods."
    if setting is Mode.PAUSED:
        after, reason = present, Reason.PAUSED
        message = f"Paused at {present}; Active would steer to {number}."
    elif setting is Mode.DRY_RUN:
        after, reason = present, Reason.DRY_RUN
        message = f"DryRun at {present}; Active would steer to {number}."
    elif hold_until is not None and hold_until > now:
        after, reason = present, Reason.HELD
        message = (
            f"Held at {present} until {hold_until:%Y-%m-%dT%H:%M:%SZ} by the annotation "
            f"callfleet.dev/hold-until; without it {number}."
        )
    elif setting is Mode.SCALE_OUT_ONLY and number < present:
        after, reason = present, Reason.SCALE_OUT_ONLY
        message = f"ScaleOutOnly keeps {present}; Active would steer to {number}."
    return after, StageRecord(Stage.MODE, before, Proposal.exactly(after), reason, message)


def steering(setting: Mode) -> Steering:
    """What the mode lets happen to pods."""
    if setting is Mode.PAUSED:
        return Steering.NONE
    return Steering.DRAINS_ONLY if setting is Mode.DRY_RUN else Steering.FULL


def may_scale_in(setting: Mode, hold_until: datetime | None, now: datetime) -> bool:
    """Whether mode and annotation let open pods be given up."""
    return setting is Mode.ACTIVE and (hold_until is None or hold_until <= now)

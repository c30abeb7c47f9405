"""The windows: in which a proposal has to last before it counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from callfleet_operator.plan.decision import Proposal, Recommendation, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage

SLOTS: Final = 60
"""Recommendations kept for a window. More frequent ones are merged, the widest counts, so that a
busy event stream cannot grow the memory."""


def remember(
    past: tuple[Recommendation, ...],
    asked: Proposal,
    *,
    now: datetime,
    present: int,
    out_window: timedelta,
    in_window: timedelta,
) -> tuple[Recommendation, ...]:
    """Past recommendations that still matter, with the new one.

    Without a past, as after a restart, the present number stands in for it, so that a whole window
    passes before anything is given up. A past from the future (the clock was set back) is none.
    """
    if not past or past[-1].at > now:
        past = (Recommendation(now, Proposal.exactly(present)),)
    window = max(out_window, in_window)
    # The last one before the window still held when the window began.
    older = sum(1 for one in past if one.at <= now - window)
    kept = past[max(0, older - 1) :]
    return (*_merged(kept, window), Recommendation(now, asked))


def _merged(past: tuple[Recommendation, ...], window: timedelta) -> list[Recommendation]:
    slot = max(1.0, window.total_seconds() / SLOTS)
    merged: list[Recommendation] = []
    for one in past:
        if merged and merged[-1].at.timestamp() // slot == one.at.timestamp() // slot:
            last = merged[-1].asked
            widest = Proposal(min(last.low, one.asked.low), max(last.high, one.asked.high))
            merged[-1] = Recommendation(one.at, widest)
        else:
            merged.append(one)
    return merged


def stabilise(
    past: tuple[Recommendation, ...],
    *,
    now: datetime,
    present: int,
    out_window: timedelta,
    in_window: timedelta,
) -> tuple[int, StageRecord]:
    """One number out of the recommendations: outwards the lowest low end of its window counts,
    inwards the highest high end of its own. `past` ends with the recommendation of now."""
    asked = past[-1].asked
    lowest = min(one.asked.low for one in _within(past, now - out_window))
    highest = max(one.asked.high for one in _within(past, now - in_window))
    number, reason, message = present, Reason.STEADY, f"{present} open pods stay."
    if lowest > present:
        number, reason = lowest, Reason.SCALE_OUT
        message = f"{lowest} open pods are needed, {present} are planned so far."
    elif highest < present:
        number, reason = highest, Reason.SCALE_IN
        message = (
            f"For {_seconds(in_window)} no more than {highest} open pods were needed, "
            f"{present} are planned so far."
        )
    elif asked.low > present:
        reason = Reason.SCALE_OUT_STABILIZED
        message = f"{asked.low} open pods are needed now, but not yet for {_seconds(out_window)}."
    elif asked.high < present:
        reason = Reason.SCALE_IN_STABILIZED
        message = f"{asked.high} open pods would do now, but not yet for {_seconds(in_window)}."
    after = Proposal.exactly(number)
    return number, StageRecord(Stage.STABILIZATION, asked, after, reason, message)


def _within(past: tuple[Recommendation, ...], start: datetime) -> tuple[Recommendation, ...]:
    """The recommendations that held at some time from `start` on; always the last one."""
    if start >= past[-1].at:
        return past[-1:]
    older = sum(1 for one in past if one.at <= start)
    return past[max(0, older - 1) :]


def _seconds(window: timedelta) -> str:
    return f"{window.total_seconds():.0f} s"

"""From users and their habits to what is carried in the busy hour."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from callfleet_operator.plan.sizing.inputs import SizingError, Usage

LONGEST_MONTH: Final = 31 * 24
"""Hours."""


@dataclass(frozen=True, slots=True)
class Load:
    """All are means; people and calls are those of the busy hour."""

    users: Decimal
    user_hours: Decimal
    """Hours of all users in calls, a month."""
    concurrent: Decimal
    """People in calls at a time."""
    erlangs: Decimal
    """Calls at a time."""
    calls_per_second: Decimal
    """Calls that begin."""


def load_of(usage: Usage) -> Load:
    """What is carried; raises SizingError where users, hours and people at a time contradict one
    another."""
    share = usage.busy_hour_percent / 100
    if usage.concurrent is None:
        users = _needed(usage.users)
        concurrent = users * usage.hours_per_month * share / usage.busy_days
        remedy = (
            "lower --hours-per-month or --busy-hour-percent, raise --busy-days, or say how many "
            "are in calls at a time with --concurrent"
        )
    else:
        concurrent = usage.concurrent
        users = usage.users or concurrent * usage.busy_days / (usage.hours_per_month * share)
        remedy = "lower --concurrent or raise --users"
    if concurrent > users:
        raise SizingError(
            f"{_round(concurrent)} people in calls at a time are more than the "
            f"{_round(users)} users there are: {remedy}."
        )
    user_hours = users * usage.hours_per_month
    if user_hours > concurrent * LONGEST_MONTH:
        raise SizingError(
            f"{_round(users)} users x {usage.hours_per_month} h a month keep "
            f"{_round(user_hours / LONGEST_MONTH)} people in calls all month long, so the busy "
            f"hour cannot have only {_round(concurrent)}: lower --hours-per-month, or raise "
            "--concurrent or --busy-hour-percent."
        )
    erlangs = concurrent / usage.people_per_call
    return Load(
        users=users,
        user_hours=user_hours,
        concurrent=concurrent,
        erlangs=erlangs,
        calls_per_second=erlangs / (usage.call_minutes * 60),
    )


def _needed(users: Decimal | None) -> Decimal:
    if users is None:
        raise SizingError("How many? Say --users N, or --concurrent N for people at a time.")
    return users


def _round(figure: Decimal) -> str:
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:,.1f}"

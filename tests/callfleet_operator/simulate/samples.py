"""Histories and calls for tests of the simulator."""

from __future__ import annotations

from datetime import UTC, datetime

from callfleet_operator.simulate.traffic import Call, History, Shown, Traffic

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = 60.0
HOUR = 3600.0


def history(*values: float, shown: Shown = Shown.PARTICIPANTS, step: float = 600) -> History:
    """Values `step` seconds apart."""
    seconds = tuple(number * step for number in range(len(values)))
    return History(START, seconds, values, shown)


def made(
    *calls: Call,
    under_way: tuple[Call, ...] = (),
    length: float = HOUR,
    rate: float = 0.0,
    mean: float = 600,
    people: float = 2,
) -> Traffic:
    """Calls that are given one by one."""
    return Traffic(
        start=START,
        length=length,
        under_way=under_way,
        calls=tuple(sorted(calls, key=lambda call: call.begins)),
        mean_duration=mean,
        mean_participants=people,
        rate_before=rate,
    )

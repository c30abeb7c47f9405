"""Minimums at certain times, as a pure function of the spec and the time.

A schedule holds from each time its cron names, in its time zone, for `durationSeconds` of elapsed
time: a window that spans a clock change is as long as any other, so its end is an hour off on the
wall clock. Crons are read as Debian's cron reads them (cron(8), "Daylight Saving Time"; cronsim):
a fixed time that a change skips comes as soon as the skipped time is over, and one that a change
repeats comes once, the first time. Crons whose minute or hour begins with a star follow elapsed
time through both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from callfleet_operator.api.v1alpha1.callcluster import Schedule
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage

_LONGEST_REPEAT: Final = timedelta(hours=3)
"""No clock change repeats more: cron(8) takes larger ones for corrections of the clock."""
_SECOND: Final = timedelta(seconds=1)
_ANY_TIME: Final = datetime(2026, 1, 1)  # noqa: DTZ001  # only asked whether a cron ever comes


@dataclass(frozen=True, slots=True)
class Window:
    """One time for which a schedule holds."""

    schedule: Schedule
    start: datetime
    until: datetime
    """The first moment at which it holds no more."""


def schedule_floor(
    before: Proposal, schedules: Sequence[Schedule], now: datetime
) -> tuple[Proposal, StageRecord]:
    """Never ask for fewer pods than a schedule that holds now. The largest counts.

    Schedules that cannot be read are left out; `unreadable` names them.
    """
    largest = max(windows(schedules, now), key=_rank, default=None)
    if largest is None:
        message = "No schedule holds now." if schedules else "There is no schedule."
        return before, StageRecord(Stage.SCHEDULE, before, before, Reason.NO_SCHEDULE, message)
    least = largest.schedule.min_replicas
    after = before.at_least(least)
    message = (
        f"Schedule {largest.schedule.name} asks for at least {least} open pods until "
        f"{largest.until:%Y-%m-%dT%H:%M:%SZ}."
    )
    return after, StageRecord(Stage.SCHEDULE, before, after, Reason.SCHEDULE, message)


def _rank(window: Window) -> tuple[int, datetime, str]:
    return window.schedule.min_replicas, window.until, window.schedule.name


def windows(schedules: Iterable[Schedule], now: datetime) -> tuple[Window, ...]:
    """The windows that `now` lies in, one a schedule: that which began last."""
    found = []
    for schedule in schedules:
        if _trouble(schedule.cron, schedule.time_zone):
            continue
        start = _latest_start(
            schedule.cron, schedule.time_zone, now.replace(second=0, microsecond=0)
        )
        if start is None:
            continue
        until = start + timedelta(seconds=schedule.duration_seconds)
        if now < until:
            found.append(Window(schedule, start, until))
    return tuple(found)


def unreadable(schedules: Iterable[Schedule]) -> tuple[str, ...]:
    """The schedules that are left out: name, field, value, what is wrong and what to write."""
    told = ((one.name, _trouble(one.cron, one.time_zone)) for one in schedules)
    return tuple(f"{name}: {trouble}" for name, trouble in told if trouble)


@lru_cache(maxsize=4096)
def _trouble(cron: str, time_zone: str) -> str:
    troubles = [_trouble_of_zone(time_zone), _trouble_of_cron(cron)]
    return ", and ".join(trouble for trouble in troubles if trouble)


def _trouble_of_zone(name: str) -> str:
    if name in _zones():
        return ""
    close = get_close_matches(name, _zones(), n=1)
    remedy = f"did you mean {close[0]}?" if close else "write one such as Europe/Berlin or UTC"
    return f"timeZone '{name}' is no IANA time zone ({remedy})"


@cache
def _zones() -> frozenset[str]:
    # `localtime` is whatever the node is set to.
    return frozenset(available_timezones() - {"localtime"})


def _trouble_of_cron(cron: str) -> str:
    form = "write minute, hour, day of month, month and day of week, such as 0 8 * * 1-5"
    fields = len(cron.split())
    if fields != 5:
        return f"cron '{cron}' has {fields} instead of 5 fields ({form})"
    try:
        next(CronSim(cron, _ANY_TIME))
    except CronSimError as error:
        return f"cron '{cron}' cannot be read: {str(error).lower()} ({form})"
    except StopIteration:
        return f"cron '{cron}' names a day that never comes ({form})"
    return ""


@lru_cache(maxsize=4096)
def _latest_start(cron: str, time_zone: str, minute: datetime) -> datetime | None:
    """The last time the cron named, not after `minute`. Crons name whole minutes."""
    zone = ZoneInfo(time_zone)
    search = (minute + _SECOND).astimezone(zone)
    if search.fold:
        # The clock shows a time for the second time: what lies ahead on it has already been.
        search = (minute + _LONGEST_REPEAT).astimezone(zone)
    for local in CronSim(cron, search, reverse=True):
        start = local.astimezone(UTC)
        if start <= minute:
            return start
    return None

"""What the days and weeks before say of the time ahead, and how well they would have said it.

The profile of a time is the mean of what was there a season, two seasons and so on earlier, at the
same time of the day or of the week. Today's level corrects it: what was there within the last hour
over what the profile has for that hour. A forecast is the highest that the corrected profile
reaches within the horizon.

Each forecast is judged by itself: at every time of the last week the same is computed from what
was known then alone, and compared with what came. The last value, as the simplest forecast there
is, is judged over the same times. Seasons are counted in elapsed time, so after a clock change the
profile is an hour off until it has been learnt anew; the judgement shows that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

from callfleet_operator.observation import NoOutlook, Outlook

STEP: Final = timedelta(minutes=10)
"""Between two values of a history."""
HISTORY: Final = timedelta(days=21)
"""As far back as is looked. Prometheus keeps 15 days unless told otherwise."""
_DAY: Final = timedelta(days=1) // STEP
_SEASONS: Final = {"week": 7 * _DAY, "day": _DAY}
_LEVEL: Final = timedelta(hours=1) // STEP
_LEVEL_WITHIN: Final = (1 / 3, 3.0)
"""A day is less or more than usual, but a rush beyond that is no matter of the season."""
_JUDGED_OVER: Final = 7 * _DAY
_ENOUGH_JUDGED: Final = _DAY
_MOST: Final = 1e9
"""What is above it is no figure of a fleet, and not known."""
_KNOWN_AT_LEAST: Final = 0.9
"""Part of a span that has to be known for its highest value to be."""


@dataclass(frozen=True, slots=True)
class History:
    """Values of one figure a step apart; NaN where it is not known."""

    last: datetime
    """The time of the last value."""
    values: Sequence[float]


def outlook(history: History, *, horizon: timedelta, now: datetime) -> Outlook | NoOutlook:
    """The highest value expected from the end of the history to `horizon` after it, at most a day.

    A history that is missing, too short, too old or full of holes gives the reason instead.
    """
    values = [value if 0 <= value <= _MOST else math.nan for value in history.values]
    known = sum(1 for value in values if not math.isnan(value))
    if not known:
        return NoOutlook("Prometheus has no history of the participants")
    if now - history.last >= 2 * STEP or math.isnan(values[-1]):
        return NoOutlook(f"the history has no value since {_last_known(history, values)}")
    ahead = min(_DAY, max(1, math.ceil(horizon / STEP)))
    tried = [_of_season(values, name, season, ahead) for name, season in _SEASONS.items()]
    found = [one for one in tried if isinstance(one, Outlook)]
    if found:
        return min(found, key=lambda one: one.error)
    judged = max(one for one in tried if isinstance(one, int))
    return NoOutlook(
        f"the history is too short or has holes: {known} values, and {judged} past times that a "
        f"forecast could be judged by; it takes {_ENOUGH_JUDGED} (a day) and the days before them"
    )


def _of_season(values: Sequence[float], name: str, season: int, ahead: int) -> Outlook | int:
    """The forecast by one season; the number of times it could be judged by, if too few."""
    profile = _profile(values, season, ahead)
    levels = _levels(values, profile)
    peaks = [
        level * peak for level, peak in zip(levels, _highest_ahead(profile, ahead), strict=False)
    ]
    actual = _highest_ahead(values, ahead)
    errors = [
        (abs(peaks[at] - actual[at]), abs(values[at] - actual[at]))
        for at in range(max(0, len(values) - ahead - _JUDGED_OVER), len(values) - ahead)
        if not math.isnan(peaks[at] + actual[at] + values[at])
    ]
    if len(errors) < _ENOUGH_JUDGED or math.isnan(peaks[-1]):
        return len(errors)
    return Outlook(
        peak=peaks[-1],
        season=name,
        error=math.fsum(own for own, _ in errors) / len(errors),
        last_value_error=math.fsum(last for _, last in errors) / len(errors),
        judged=len(errors),
    )


def _profile(values: Sequence[float], season: int, ahead: int) -> list[float]:
    """For each time, and `ahead` further ones, the mean of earlier seasons; NaN without one.

    What it has for a time at most a season ahead was known now: nothing is judged by hindsight.
    """
    sums, counts = [0.0] * season, [0] * season
    profile = []
    for at in range(len(values) + ahead):
        phase = at % season
        profile.append(sums[phase] / counts[phase] if counts[phase] else math.nan)
        if at < len(values) and not math.isnan(values[at]):
            sums[phase] += values[at]
            counts[phase] += 1
    return profile


def _levels(values: Sequence[float], profile: Sequence[float]) -> list[float]:
    """For each time what was there within the last hour over the profile's; NaN if not known."""
    pairs = [
        (value, usual, 1) if not math.isnan(value + usual) else (0.0, 0.0, 0)
        for value, usual in zip(values, profile, strict=False)
    ]
    there, usual, known = (
        list(accumulate(column, initial=0.0)) for column in zip(*pairs, strict=True)
    )
    levels = []
    for end in range(1, len(values) + 1):
        begin = max(0, end - _LEVEL)
        if 2 * (known[end] - known[begin]) < _LEVEL:
            levels.append(math.nan)
            continue
        expected = usual[end] - usual[begin]
        # of next to nothing no level can be told
        level = (there[end] - there[begin]) / expected if expected >= _LEVEL else 1.0
        levels.append(min(max(level, _LEVEL_WITHIN[0]), _LEVEL_WITHIN[1]))
    return levels


def _highest_ahead(values: Sequence[float], ahead: int) -> list[float]:
    """For each time that has so many after it their highest; NaN if too few of them are known."""
    highest = []
    candidates: deque[int] = deque()
    known = 0
    for at, value in enumerate(values):
        if not math.isnan(value):
            known += 1
            while candidates and values[candidates[-1]] <= value:
                candidates.pop()
            candidates.append(at)
        if at < ahead:
            continue
        # the span is now at - ahead + 1 .. at, that after the time at - ahead
        if not math.isnan(values[at - ahead]):
            known -= 1
        while candidates and candidates[0] <= at - ahead:
            candidates.popleft()
        enough = known >= _KNOWN_AT_LEAST * ahead
        highest.append(values[candidates[0]] if enough and candidates else math.nan)
    return highest


def _last_known(history: History, values: Iterable[float]) -> str:
    ago = next(index for index, one in enumerate(reversed(list(values))) if not math.isnan(one))
    return f"{(history.last - ago * STEP).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

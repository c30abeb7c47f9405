"""From a fleet's history to single calls: when each begins and ends, and how many take part.

All is drawn from one seed before any fleet is replayed, so every fleet gets the same calls.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from random import Random
from typing import Final

from callfleet_operator.simulate.durations import Durations

MOST_CALLS: Final = 2_000_000
"""Of one replay: they are held in memory."""


class TooMuchError(Exception):
    """More calls than a replay can hold; the message says what to do."""


class Shown(StrEnum):
    """What the values of a history are."""

    PARTICIPANTS = "participants"
    """Present at each time."""
    CALLS = "calls"
    """That began from a time to the next one; the last value counts for nothing."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a fleet's load, oldest first. Raises ValueError unless there are two times
    or more, they rise from 0, and no value is negative."""

    start: datetime
    """Of the first value, with a time zone."""
    seconds: tuple[float, ...]
    """Times of the values since then."""
    values: tuple[float, ...]
    shown: Shown
    participants_at_start: float | None = None
    """With `CALLS`: who was there. None if not known: as many as the first rate keeps up."""

    def __post_init__(self) -> None:
        rising = all(first < then for first, then in pairwise(self.seconds))
        if len(self.seconds) < 2 or self.seconds[0] != 0 or not rising:
            raise ValueError("the times of a history rise from 0, and there are two at least")
        if len(self.values) != len(self.seconds):
            raise ValueError("a history has one value a time")
        if not all(math.isfinite(value) and value >= 0 for value in self.values):
            raise ValueError("no value of a history is negative or unknown")

    @property
    def length(self) -> float:
        """Seconds."""
        return self.seconds[-1]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as it goes if it finds room."""

    begins: float
    """Seconds since the start; negative of a call that was under way then."""
    ends: float
    participants: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """All calls of a replay."""

    start: datetime
    length: float
    """Seconds."""
    under_way: tuple[Call, ...]
    """At the start."""
    calls: tuple[Call, ...]
    """That begin, in that order."""
    mean_duration: float
    """Seconds, as the history has it."""
    mean_participants: float
    rate_before: float
    """New calls a second in the hour before: those that kept up what was under way at the start
    (Little's law)."""
    too_steep: float = 0.0
    """Share of the time in which the participants of the history fell faster than calls of this
    mean duration end, so that the replay carries more than the history."""

    def offered(self, times: tuple[float, ...]) -> tuple[int, ...]:
        """Participants at each of some rising times, were no call blocked or cut."""
        every = (*self.under_way, *self.calls)
        changes = sorted(
            [(call.begins, call.participants) for call in every]
            + [(call.ends, -call.participants) for call in every]
        )
        total, totals = 0, [0]
        for _, change in changes:
            total += change
            totals.append(total)
        moments = [moment for moment, _ in changes]
        return tuple(totals[bisect_right(moments, time)] for time in times)


@dataclass(frozen=True, slots=True)
class _Span:
    begin: float
    end: float
    calls: float
    """Expected to begin."""


def traffic(
    history: History, durations: Durations, people_per_call: float, *, seed: int
) -> Traffic:
    """Calls that give this history. Deterministic: the same arguments give the same calls.

    A history of calls gives exactly so many, at random times within each span. Of participants
    the rate is computed that keeps up their course (Poisson arrivals; the mean duration counts).
    `people_per_call` is at least 1; a fraction gives calls of the two sizes around it.
    Raises TooMuchError beyond `MOST_CALLS`.
    """
    random = Random(seed)  # noqa: S311  # repeatable, not secret
    if history.shown is Shown.CALLS:
        spans, too_steep = _counted(history), 0.0
        first = spans[0].calls / (spans[0].end - spans[0].begin)
        at_start = first * durations.mean
        if history.participants_at_start is not None:
            at_start = history.participants_at_start / people_per_call
    else:
        spans, too_steep = _fitted(history, durations.mean, people_per_call)
        at_start = history.values[0] / people_per_call
    expected = at_start + math.fsum(span.calls for span in spans)
    if expected > MOST_CALLS:
        raise TooMuchError(
            f"The history has {expected:.0f} calls, and a replay holds {MOST_CALLS}: choose a "
            "shorter time."
        )
    draw_size = _sizes(people_per_call, random)
    begun = _at_exact_times if history.shown is Shown.CALLS else _at_poisson_times
    found = (durations.draw_found(random) for _ in range(round(at_start)))
    under_way = tuple(Call(-gone, left, draw_size()) for gone, left in found)
    times = (time for span in spans for time in begun(span, random))
    calls = tuple(Call(time, time + durations.draw(random), draw_size()) for time in times)
    return Traffic(
        start=history.start,
        length=history.length,
        under_way=under_way,
        calls=calls,
        mean_duration=durations.mean,
        mean_participants=people_per_call,
        rate_before=at_start / durations.mean,
        too_steep=too_steep,
    )


def _counted(history: History) -> list[_Span]:
    """Whole calls a span, so that rounding loses none over time."""
    spans, total, given = [], 0.0, 0
    for (begin, end), calls in zip(pairwise(history.seconds), history.values, strict=False):
        total += calls
        whole = round(total) - given
        given += whole
        spans.append(_Span(begin, end, whole))
    return spans


def _fitted(history: History, mean: float, people: float) -> tuple[list[_Span], float]:
    """Arrivals that bring the calls under way from one value to the next.

    With calls of exponential duration N(t+h) = N(t) e^(-h/D) + r D (1 - e^(-h/D)) for a rate r
    and a mean D (the infinite-server queue M/M/inf), solved for r; a rate is not negative.
    """
    spans, under_way, steep = [], history.values[0] / people, 0.0
    for (begin, end), value in zip(pairwise(history.seconds), history.values[1:], strict=True):
        left = math.exp(-(end - begin) / mean)
        rate = (value / people - under_way * left) / (mean * -math.expm1(-(end - begin) / mean))
        if rate < 0:
            rate, steep = 0.0, steep + end - begin
        under_way = under_way * left + rate * mean * (1 - left)
        spans.append(_Span(begin, end, rate * (end - begin)))
    return spans, steep / history.length


def _at_exact_times(span: _Span, random: Random) -> list[float]:
    return sorted(random.uniform(span.begin, span.end) for _ in range(round(span.calls)))


def _at_poisson_times(span: _Span, random: Random) -> Iterator[float]:
    if not span.calls:
        return
    rate = span.calls / (span.end - span.begin)
    time = span.begin
    while (time := time + random.expovariate(rate)) < span.end:
        yield time


def _sizes(mean: float, random: Random) -> Callable[[], int]:
    """Whole numbers of people around the mean."""
    small = math.floor(mean)

    def draw() -> int:
        return small + (random.random() < mean - small)

    return draw

"""A history out of what Prometheus has kept of a CallCluster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from callfleet_operator.simulate.durations import Measured
from callfleet_operator.simulate.traffic import History, Shown

UNKNOWN_AT_MOST: Final = 0.1
"""Share of the steps of a history that may be filled in from their neighbours."""


class PastError(Exception):
    """A past that cannot be replayed; the message says what to do."""


class Row(Protocol):
    """One series of a range."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the series."""

    @property
    def points(self) -> Iterable[tuple[float, float]]:
        """Unix time and value."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is replayed: whole steps up to an end."""

    end: datetime
    step: timedelta
    steps: int

    @classmethod
    def until(cls, end: datetime, since: timedelta) -> Span:
        """At most 1440 steps of a minute or more; a minute is what a scrape interval resolves."""
        step = timedelta(minutes=max(1, math.ceil(since / timedelta(minutes=1440))))
        return cls(end, step, max(2, since // step))

    @property
    def start(self) -> datetime:
        """When it begins."""
        return self.end - self.steps * self.step

    @property
    def step_ends(self) -> tuple[datetime, ...]:
        """When each step ends."""
        return tuple(self.start + number * self.step for number in range(1, self.steps + 1))


def history(span: Span, begun: Sequence[Row], participants: Sequence[Row]) -> tuple[History, int]:
    """Calls that began within each step, and how many steps were filled in as they are not known.

    `begun` has at each end of a step the calls since the end before, `participants` who was there
    at the start. Raises PastError if too little is known.
    """
    counts = _at(begun, span.step_ends)
    unknown = sum(1 for count in counts if count is None)
    if unknown == len(counts):
        raise PastError(
            "Prometheus has no calls of this CallCluster in this time: choose a longer --since, or "
            "check with `callfleet doctor` that its pods are scraped."
        )
    if unknown > UNKNOWN_AT_MOST * len(counts):
        raise PastError(
            f"Prometheus does not know {unknown} of {len(counts)} steps of this time, too many to "
            "fill in: choose a --since within what it has, or replay a CSV file with --csv."
        )
    seconds = tuple(number * span.step.total_seconds() for number in range(span.steps + 1))
    (there,) = _at(participants, (span.start,))
    made = History(span.start, seconds, (*_filled(counts), 0.0), Shown.CALLS, there)
    return made, unknown


def durations(buckets: Iterable[Row]) -> Measured:
    """The distribution in a histogram's buckets: their increase over the whole time, by `le`.

    Raises PastError without a call that ended.
    """
    totals: dict[float, float] = {}
    for row in buckets:
        bound = float(row.labels.get("le", "nan"))
        totals[bound] = max((value for _, value in row.points), default=0.0)
    bounds = sorted(bound for bound in totals if math.isfinite(bound))
    whole = [totals[bound] for bound in bounds] + [totals.get(math.inf, 0.0)]
    counts = [max(0.0, high - low) for low, high in zip([0.0, *whole], whole, strict=False)]
    try:
        return Measured(tuple(bounds), tuple(counts))
    except ValueError as unusable:
        raise PastError(
            f"Prometheus does not say how long calls last ({unusable}): name it with "
            "--call-minutes, or choose a longer --since."
        ) from unusable


def mean(sums: Iterable[Row], counts: Iterable[Row]) -> float | None:
    """Sum over count; None if there is none."""
    total, number = (
        math.fsum(value for row in rows for _, value in row.points) for rows in (sums, counts)
    )
    return total / number if number > 0 else None


def _at(rows: Sequence[Row], times: Iterable[datetime]) -> list[float | None]:
    known = {round(time): value for row in rows for time, value in row.points if value >= 0}
    return [known.get(round(time.astimezone(UTC).timestamp())) for time in times]


def _filled(counts: Sequence[float | None]) -> list[float]:
    """Each unknown count as that of the nearest step that is known, of two the earlier one."""
    known = [index for index, count in enumerate(counts) if count is not None]
    filled = []
    for index, count in enumerate(counts):
        nearest = min(known, key=lambda one: (abs(one - index), one))
        value = counts[nearest] if count is None else count
        filled.append(value or 0.0)
    return filled

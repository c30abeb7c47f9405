"""The history of each CallCluster's participants, filled in bit by bit from rows of Prometheus.

A value belongs to a slot: the time of a whole number of steps since 1970.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from callfleet_operator.observe.readings import FleetName
from callfleet_operator.plan.seasonal import HISTORY, STEP, History

SLOTS: Final = HISTORY // STEP
CHUNK: Final = timedelta(hours=12) // STEP
"""Slots asked for in one query: about 2 KiB of answer a cluster."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class SeriesRow(Protocol):
    """One row of a range."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the series."""

    @property
    def points(self) -> Iterable[tuple[float, float]]:
        """Unix time and value."""


def slot_of(time: datetime) -> int:
    """The slot that has begun last."""
    return (time - _EPOCH) // STEP


def time_of(slot: int) -> datetime:
    """When a slot's value was taken."""
    return _EPOCH + slot * STEP


def _unknown() -> array[float]:
    return array("f", [math.nan]) * SLOTS


@dataclass(slots=True)
class Track:
    """What is known of one cluster: the last `SLOTS` slots, in a ring."""

    through: int
    """The last slot that was asked for."""
    _ring: array[float] = field(default_factory=_unknown)

    @classmethod
    def empty(cls, now: datetime) -> Track:
        """Nothing has been asked for yet."""
        return cls(slot_of(now) - SLOTS)

    def advance(self, through: int, points: Mapping[int, float]) -> None:
        """Everything up to a slot has been asked for; what is not among the points is unknown."""
        for slot in range(max(self.through + 1, through - SLOTS + 1), through + 1):
            self._ring[slot % SLOTS] = points.get(slot, math.nan)
        self.through = max(self.through, through)

    def history(self) -> History:
        """Oldest first."""
        first = (self.through + 1) % SLOTS
        return History(time_of(self.through), (*self._ring[first:], *self._ring[:first]))


def chunks(tracks: Mapping[FleetName, Track], now: datetime) -> Iterator[range]:
    """The slots to ask for next, until all tracks are complete. Asked anew after each answer."""
    last = slot_of(now)
    while behind := [one.through for one in tracks.values() if one.through < last]:
        first = max(min(behind), last - SLOTS) + 1
        yield range(first, min(first + CHUNK, last + 1))


def fill(tracks: Mapping[FleetName, Track], slots: range, rows: Iterable[SeriesRow]) -> None:
    """Put one answer into the tracks that lack its slots."""
    points: dict[FleetName, dict[int, float]] = {}
    for row in rows:
        name = row.labels.get("namespace", ""), row.labels.get("callfleet_cluster", "")
        points[name] = {round(time / STEP.total_seconds()): value for time, value in row.points}
    for name, track in tracks.items():
        if track.through < slots[-1]:
            track.advance(slots[-1], points.get(name, {}))

"""How long calls last: by a mean alone, or as a histogram has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Protocol


class Durations(Protocol):
    """A distribution of call durations in seconds."""

    @property
    def mean(self) -> float:
        """Seconds."""

    def draw(self, random: Random) -> float:
        """The duration of one call."""

    def draw_found(self, random: Random) -> tuple[float, float]:
        """Of a call that is found under way: how long it has gone on, and what is left."""


@dataclass(frozen=True, slots=True)
class Exponential:
    """Durations without memory, the usual model of telephone calls."""

    mean: float

    def draw(self, random: Random) -> float:
        """The duration of one call."""
        return random.expovariate(1 / self.mean)

    def draw_found(self, random: Random) -> tuple[float, float]:
        """Without memory both are distributed as a whole call is."""
        return self.draw(random), self.draw(random)


@dataclass(frozen=True, slots=True)
class Measured:
    """Durations spread evenly within each bucket of a histogram, those above the last bound
    between it and its double.

    Raises ValueError unless the bounds rise and some bucket has calls.
    """

    bounds: tuple[float, ...]
    """Upper ends of all buckets but the last one, seconds."""
    counts: tuple[float, ...]
    """Calls in each bucket: one more than bounds."""

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in pairwise((0.0, *self.bounds)))
        if not (self.bounds and rising and len(self.counts) == len(self.bounds) + 1):
            raise ValueError(f"no histogram: bounds {self.bounds}, counts {self.counts}")
        if not all(count >= 0 for count in self.counts) or sum(self.counts) <= 0:
            raise ValueError("a histogram without a call")

    @property
    def _ranges(self) -> tuple[tuple[float, float], ...]:
        return tuple(pairwise((0.0, *self.bounds, 2 * self.bounds[-1])))

    @property
    def mean(self) -> float:
        """Seconds."""
        return math.fsum(self._time()) / math.fsum(self.counts)

    def _time(self) -> list[float]:
        """Seconds that the calls of each bucket last together."""
        pairs = zip(self._ranges, self.counts, strict=True)
        return [count * (low + high) / 2 for (low, high), count in pairs]

    def draw(self, random: Random) -> float:
        """The duration of one call."""
        ((low, high),) = random.choices(self._ranges, self.counts)
        return random.uniform(low, high)

    def draw_found(self, random: Random) -> tuple[float, float]:
        """Long calls are found more often than short ones, by their length, and at any point."""
        ((low, high),) = random.choices(self._ranges, self._time())
        whole = math.sqrt(random.uniform(low**2, high**2))
        gone = whole * random.random()
        return gone, whole - gone

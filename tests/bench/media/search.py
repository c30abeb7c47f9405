"""The search for the highest rate that still succeeds."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

UP, DOWN = 1.3, 2.0
CLOSE = 1.05
MOST_TRIES = 12


def highest(succeeds: Callable[[float], bool], start: float) -> float | None:
    """The highest rate that succeeded, within 5 % of one that did not; None: none of 12 tries.

    Goes up from `start` by 30 % a step, or down by halves if it fails, then narrows the interval.
    """
    low, high, rate = None, None, start
    for _ in range(MOST_TRIES):
        if succeeds(rate):
            low = rate
        else:
            high = rate
        if low is None:
            rate /= DOWN
        elif high is None:
            rate *= UP
        elif high / low < CLOSE:
            break
        else:
            rate = sqrt(low * high)
    return low

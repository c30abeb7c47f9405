"""The figures of a status, coarse enough that a steady fleet writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from callfleet_operator.observation import FleetPod
from callfleet_operator.plan.classify import carried, exact_sum, utilisation
from callfleet_operator.plan.fleet import Fleet

STEP_PERCENT: Final = 5


def used(fleet: Fleet, previous: int) -> int | None:
    """Participants or allocations on all pods, to five points of what the serving pods hold."""
    ends = [carried(pod) for pod in (*fleet.open, *fleet.leaving)]
    capacity = sum(pod.load.capacity for pod in serving(fleet))
    step = max(1, -(-capacity * STEP_PERCENT // 100))
    low = math.fsum([one.low for one in ends])
    high = math.fsum([one.high for one in ends])
    return _coarse(low, high, previous, step)


def percent(fleet: Fleet, previous: int) -> int | None:
    """Utilisation of the serving pods together, in per cent, to five points."""
    pods = serving(fleet)
    if not pods:
        return None
    ends = [utilisation(pod) for pod in pods]
    low, high = exact_sum([low for low, _ in ends]), exact_sum([high for _, high in ends])
    share = Fraction(100, len(pods))
    return _coarse(float(low * share), float(high * share), previous, STEP_PERCENT)


def serving(fleet: Fleet) -> list[FleetPod]:
    """Open pods that are ready."""
    return [pod for pod in _each(fleet.ready, fleet.displaced) if pod.ready]


def _each(*groups: Iterable[FleetPod]) -> Iterable[FleetPod]:
    for group in groups:
        yield from group


def _coarse(low: float, high: float, previous: int, step: int) -> int | None:
    """A multiple of `step` near the figure; None if it is not known to a step.

    The previous one stays until the figure is a whole step away from it, so that a figure on the
    edge between two does not flip. What is not nothing is never shown as 0.
    """
    if high - low > step:
        return None
    exact = (low + high) / 2
    least = step if exact else 0
    if previous % step == 0 and previous >= least and abs(exact - previous) < step:
        return previous
    return max(least, step * round(exact / step))

"""First stage: how far the data of each pod can be trusted, and what load they add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

from callfleet_operator.observation import (
    FleetPod,
    Freshness,
    Interval,
    PodLoad,
    Reading,
    Source,
)
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.fleet import Fleet, holds_nothing, names
from callfleet_operator.plan.reasons import Reason, Stage

_NOTHING: Final = Interval.exactly(0)
_MOST: Final = 1e9
"""Figures beyond this are taken as this: no pod has them, and arithmetic stays bounded."""
_FULL: Final = 1
"""The most that stress counts as. Beyond it a late event loop says that a pod is overrun, never
by how much, and a burst is no load that stays."""


def judge(
    readings: Iterable[Reading],
    *,
    uid: str,
    capacity: int,
    now: datetime,
    stale_after: timedelta,
) -> PodLoad:
    """The load of one pod out of what its sources said.

    The first fresh and sound reading counts, Prometheus' before the pod's own. Without one the
    load is unknown: `used` from 0 to `capacity`, `stress` from 0 to 1. `capacity` is the spec's,
    so that a change of it counts before the pods have heard of it.
    """
    worst = Freshness.MISSING
    source = Source.NONE
    for reading in sorted(readings, key=lambda one: one.source is not Source.PROMETHEUS):
        freshness = _freshness(reading, uid, now, stale_after)
        if freshness is Freshness.FRESH:
            load = _fresh_load(
                min(reading.used, _MOST),
                min(reading.stress, _FULL),
                capacity,
                reading.source,
                _calls(reading),
            )
            return load if load.known else replace(load, reported=worst)
        if worst is Freshness.MISSING:
            worst, source = freshness, reading.source
    return PodLoad(Interval(0, capacity), capacity, Interval(0, 1), worst, source)


@lru_cache(maxsize=16384)
def _fresh_load(
    used: float, stress: float, capacity: int, source: Source, calls: int | None
) -> PodLoad:
    # Kept: most pods carry what they carried the last time, or what another one does.
    return PodLoad(
        used=Interval.exactly(used),
        capacity=capacity,
        stress=Interval.exactly(stress),
        freshness=Freshness.FRESH,
        source=source,
        calls=calls,
    )


def _freshness(reading: Reading, uid: str, now: datetime, stale_after: timedelta) -> Freshness:
    if reading.uid and reading.uid != uid:
        # Series of an earlier pod of the same name: nothing is known of this one.
        return Freshness.MISSING
    if abs(now - reading.at) > stale_after:
        return Freshness.STALE
    if not all(math.isfinite(figure) and figure >= 0 for figure in (reading.used, reading.stress)):
        return Freshness.CONTRADICTORY
    return Freshness.FRESH


def _calls(reading: Reading) -> int | None:
    if reading.calls is None or not 0 <= reading.calls <= _MOST:
        return None
    return round(reading.calls)


_TROUBLES: Final = {
    Freshness.STALE: "stale",
    Freshness.MISSING: "missing",
    Freshness.CONTRADICTORY: "contradictory",
}


@dataclass(frozen=True, slots=True)
class FleetLoad:
    """What all pods of a fleet carry, draining and ending ones too."""

    low: Fraction
    """Sum of the pods' utilisation if pods without trusted data carry nothing. 1 is one full pod.
    An exact number: with floats a load of exactly the target would ask for one pod too many."""
    high: Fraction
    """The same if they are full."""
    unknown: tuple[FleetPod, ...]
    """Pods whose data do not allow to start a drain on."""
    pods: int

    @property
    def complete(self) -> bool:
        """Whether a drain may start."""
        return not self.unknown


@lru_cache(maxsize=16)
def classify(fleet: Fleet, present: int) -> tuple[FleetLoad, StageRecord]:
    """Add up the load of a fleet and name the pods it is not known of. Kept: the status asks for
    what the plan has found."""
    pods = fleet.open + fleet.leaving
    ends = [utilisation(pod) for pod in pods]
    unknown = tuple(pod for pod in pods if not holds_nothing(pod) and not pod.load.known)
    load = FleetLoad(
        low=exact_sum([low for low, _ in ends]),
        high=exact_sum([high for _, high in ends]),
        unknown=unknown,
        pods=len(pods),
    )
    reason = Reason.DATA_COMPLETE if load.complete else Reason.DATA_INCOMPLETE
    same = Proposal.exactly(present)
    return load, StageRecord(Stage.CLASSIFY, same, same, reason, _message(load))


def utilisation(pod: FleetPod) -> tuple[Fraction, Fraction]:
    """Both ends of max(used / capacity, stress) of one pod; 0 where no call can be."""
    if holds_nothing(pod):
        return Fraction(0), Fraction(0)
    load = pod.load
    return (
        _fullness(load.used.low, load.stress.low, load.capacity),
        _fullness(load.used.high, load.stress.high, load.capacity),
    )


def exact_sum(numbers: Sequence[Fraction]) -> Fraction:
    """As `sum`, over one common denominator: a tenth of the time."""
    common = math.lcm(*(number.denominator for number in numbers))
    scaled = (number.numerator * (common // number.denominator) for number in numbers)
    return Fraction(sum(scaled), common)


def carried(pod: FleetPod) -> Interval:
    """Participants or allocations on one pod; none where no call can be."""
    return _NOTHING if holds_nothing(pod) else pod.load.used


@lru_cache(maxsize=16384)
def _fullness(used: float, stress: float, capacity: int) -> Fraction:
    # Kept: exact numbers are slow, and every stage and condition asks for those of each pod.
    return max(_share(used, capacity), _share(stress, 1))


def _share(figure: float, capacity: int) -> Fraction:
    # To the millionth: 0.1 + 0.2 as floats would be above 0.3.
    return Fraction(round(min(figure, _MOST) * 1_000_000), 1_000_000 * capacity)


def unknown_pods(pods: Iterable[FleetPod]) -> str:
    """The pods of unknown load by what is wrong with their data, for a message."""
    kinds: dict[str, list[FleetPod]] = {}
    for pod in pods:
        kinds.setdefault(_trouble(pod.load), []).append(pod)
    return "; ".join(f"{kind}: {names(same)}" for kind, same in sorted(kinds.items()))


def _trouble(load: PodLoad) -> str:
    if load.freshness is not Freshness.FRESH:
        return _TROUBLES[load.freshness]
    if load.reported is None or load.reported is Freshness.MISSING:
        return "only from the pod itself"
    return f"{_TROUBLES[load.reported]} in Prometheus, only from the pod itself"


def _message(load: FleetLoad) -> str:
    if load.complete:
        return f"The data of all {load.pods} pods are fresh."
    named = unknown_pods(load.unknown)
    return f"{len(load.unknown)} of {load.pods} pods without trusted data ({named})."

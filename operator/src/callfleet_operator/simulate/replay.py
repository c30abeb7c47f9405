"""Replays the same calls on several fleets, tick by tick, and says what came of each.

Deterministic: the same scenario gives the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Final, Protocol

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.simulate.deployment import Deployment
from callfleet_operator.simulate.operated import Operated
from callfleet_operator.simulate.pods import Pods, Room
from callfleet_operator.simulate.scalers import Hpa, Keda, Scaler
from callfleet_operator.simulate.traffic import Traffic

TICK_SECONDS: Final = 15
"""The operator's default tick and the HPA's sync period."""
HOURS_A_MONTH: Final = 730
"""365 days of 24 hours over 12."""


class Fleet(Protocol):
    """Pods, and whoever scales them."""

    @property
    def pods(self) -> Pods:
        """Those that exist."""

    @property
    def open(self) -> int:
        """Pods that are to take new calls."""

    def tick(self, now: float) -> None:
        """Look, decide and act."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a history does not tell."""

    start_seconds: float = 30
    """From a pod's creation until it is ready."""
    hpa_target_percent: int = 70
    """Of the HPA and of KEDA, of a pod's capacity."""
    grace_seconds: float = 30
    """terminationGracePeriodSeconds of the Deployment; 30 is what Kubernetes sets."""
    seed: int = 1
    pods_at_start: int | None = None
    """None: as many as carry the load at the target."""


@dataclass(frozen=True, slots=True)
class Point:
    """One fleet after one tick."""

    seconds: float
    pods: int
    """That exist."""
    open: int
    participants: int
    blocked: int
    """Calls, up to then."""
    cut: int
    """Calls, up to then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fleet."""

    name: str
    points: tuple[Point, ...]
    """One a tick, the first of them at the start."""
    offered: int
    """New calls."""
    blocked: int
    cut: int
    cut_participants: int
    pod_hours: float

    @property
    def mean_pods(self) -> float:
        """Over the time."""
        return self.pod_hours * 3600 / self.points[-1].seconds

    @property
    def most_pods(self) -> int:
        """At one time."""
        return max(point.pods for point in self.points)

    @property
    def least_pods(self) -> int:
        """At one time."""
        return min(point.pods for point in self.points)

    @property
    def blocked_share(self) -> float | None:
        """Of the new calls; None without one."""
        return self.blocked / self.offered if self.offered else None

    def cost(self, pod_monthly: str) -> Decimal | None:
        """Of the pod hours, to hundredths; None without a price."""
        if not pod_monthly:
            return None
        hours = Decimal(str(round(self.pod_hours, 6)))
        price = Decimal(pod_monthly) / HOURS_A_MONTH
        return (hours * price).quantize(Decimal("0.01"), ROUND_HALF_UP)


def operated(
    spec: CallClusterSpec, traffic: Traffic, given: Assumptions, *, name: str = "Callfleet"
) -> Outcome:
    """Under Callfleet's plan."""

    def fleet(pods: Pods) -> Fleet:
        return Operated(spec, pods, traffic, given.start_seconds)

    return _replay(name, fleet, spec, traffic, given)


def with_hpa(spec: CallClusterSpec, traffic: Traffic, given: Assumptions) -> Outcome:
    """A Deployment with an HPA, within the spec's bounds."""
    return _deployed("HPA", Hpa, spec, traffic, given)


def with_keda(spec: CallClusterSpec, traffic: Traffic, given: Assumptions) -> Outcome:
    """A Deployment with KEDA, within the spec's bounds."""
    return _deployed("KEDA", Keda, spec, traffic, given)


def _deployed(
    name: str,
    scaler: Callable[[float, int, int], Scaler],
    spec: CallClusterSpec,
    traffic: Traffic,
    given: Assumptions,
) -> Outcome:
    target = spec.capacity.participants_per_pod * given.hpa_target_percent / 100
    least, most = spec.scaling.min_replicas, spec.scaling.max_replicas

    def fleet(pods: Pods) -> Fleet:
        chosen = scaler(target, least, most)
        return Deployment(pods, chosen, given.start_seconds, given.grace_seconds)

    return _replay(name, fleet, spec, traffic, given)


def _replay(
    name: str,
    make: Callable[[Pods], Fleet],
    spec: CallClusterSpec,
    traffic: Traffic,
    given: Assumptions,
) -> Outcome:
    scaling = spec.scaling
    room = Room(
        spec.capacity.participants_per_pod,
        scaling.target_utilization_percent,
        scaling.new_call_limit_percent,
    )
    pods = Pods(room, Random(given.seed))  # noqa: S311  # repeatable, not secret
    for ordinal in range(_at_start(spec, traffic, given)):
        # An hour old: a pod that was made just now has no calls yet.
        pods.add(ordinal, -3600.0, given.start_seconds - 3600.0)
    pods.resume(traffic.under_way)
    fleet = make(pods)
    points: list[Point] = []
    hours = 0.0
    coming = iter(traffic.calls)
    call = next(coming, None)
    for number in range(math.ceil(traffic.length / TICK_SECONDS) + 1):
        now = float(number * TICK_SECONDS)
        if points:
            hours += len(pods.present) * TICK_SECONDS / 3600
        while call is not None and call.begins <= now:
            pods.end_until(call.begins)
            pods.begin(call)
            call = next(coming, None)
        pods.end_until(now)
        fleet.tick(now)
        tally = pods.tally
        points.append(
            Point(now, len(pods.present), fleet.open, pods.participants, tally.blocked, tally.cut)
        )
    tally = pods.tally
    return Outcome(
        name=name,
        points=tuple(points),
        offered=tally.offered,
        blocked=tally.blocked,
        cut=tally.cut,
        cut_participants=tally.cut_participants,
        pod_hours=hours,
    )


def _at_start(spec: CallClusterSpec, traffic: Traffic, given: Assumptions) -> int:
    scaling = spec.scaling
    if given.pods_at_start is not None:
        return given.pods_at_start
    there = sum(call.participants for call in traffic.under_way)
    full = spec.capacity.participants_per_pod * scaling.target_utilization_percent
    needed = -(-there * 100 // full)
    return min(max(needed, scaling.min_replicas), scaling.max_replicas)

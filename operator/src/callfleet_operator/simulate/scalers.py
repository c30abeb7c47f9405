"""Who changes the number of pods of a Deployment: an HPA by itself, or KEDA in front of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from callfleet_operator.simulate import hpa


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scaler sees of a Deployment at one time."""

    now: float
    """Seconds since the start."""
    ready: Sequence[int]
    """Participants of each pod that serves, terminating ones left out."""
    unready: int
    """Pods that are not ready yet."""
    terminating: int
    """Participants of pods that are about to end: Prometheus scrapes them on."""

    @property
    def current(self) -> int:
        """Replicas."""
        return len(self.ready) + self.unready


class Scaler(Protocol):
    """Decides at each sync of the HPA."""

    def replicas(self, seen: Seen) -> int:
        """The number to have."""


@dataclass(slots=True)
class Hpa:
    """On the participants of each pod (metric type Pods, AverageValue)."""

    target: float
    """Participants a pod."""
    least: int
    most: int
    past: hpa.Past = field(default_factory=hpa.Past)

    def replicas(self, seen: Seen) -> int:
        """One sync."""
        wanted = hpa.by_pod_metric(
            seen.ready, seen.unready, target=self.target, tolerance=hpa.DEFAULT.tolerance
        )
        number, self.past = hpa.settle(
            wanted, seen.current, self.past, now=seen.now, least=self.least, most=self.most
        )
        return number


POLLING_SECONDS: Final = 30
"""`pollingInterval`."""


@dataclass(slots=True)
class Keda:
    """A ScaledObject with the prometheus scaler on the sum of all participants.

    Source: keda.sh, "ScaledObject specification" and "Prometheus" scaler. The metric is polled
    every `pollingInterval` and served from the cache in between (`useCachedMetrics`); the HPA that
    KEDA makes does the rest. `cooldownPeriod` is about going to 0 pods alone. That does not occur:
    the metric comes from the pods, so a fleet without one would never be woken.
    """

    threshold: float
    """Participants a pod."""
    least: int
    """`minReplicaCount`, 1 or more."""
    most: int
    past: hpa.Past = field(default_factory=hpa.Past)
    _polled: float | None = None
    _total: int = 0

    def replicas(self, seen: Seen) -> int:
        """One sync of the HPA, after a poll if one is due."""
        if self._polled is None or seen.now - self._polled >= POLLING_SECONDS:
            self._polled, self._total = seen.now, sum(seen.ready) + seen.terminating
        wanted = hpa.by_total(
            self._total, seen.current, threshold=self.threshold, tolerance=hpa.DEFAULT.tolerance
        )
        number, self.past = hpa.settle(
            wanted, seen.current, self.past, now=seen.now, least=self.least, most=self.most
        )
        return number

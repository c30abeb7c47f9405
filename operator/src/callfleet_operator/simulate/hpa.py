"""The HorizontalPodAutoscaler's algorithm, as Kubernetes documents it, on figures alone.

Source: kubernetes.io, "Horizontal Pod Autoscaling", sections "Algorithm details", "Scaling
policies", "Stabilization window" and "Default behavior". The rule for pods that are not ready
follows `calcPlainMetricReplicas` in pkg/controller/podautoscaler/replica_calculator.go, rates and
windows `normalizeDesiredReplicasWithBehaviors` in horizontal.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

SYNC_SECONDS: Final = 15
"""`--horizontal-pod-autoscaler-sync-period`."""


@dataclass(frozen=True, slots=True)
class Behavior:
    """`spec.behavior` with the values that hold where it is absent."""

    tolerance: Fraction = Fraction(1, 10)
    """`--horizontal-pod-autoscaler-tolerance`."""
    up_window: float = 0
    """`scaleUp.stabilizationWindowSeconds`."""
    up_pods: int = 4
    """Policy Pods: so many in `period` at most."""
    up_percent: int = 100
    """Policy Percent. The policy that allows more counts (selectPolicy Max)."""
    down_window: float = 300
    """`scaleDown.stabilizationWindowSeconds`; down all pods may go at once (Percent 100)."""
    period: float = 15


DEFAULT: Final = Behavior()


@dataclass(frozen=True, slots=True)
class Past:
    """What one sync leaves to the next one."""

    recommendations: tuple[tuple[float, int], ...] = ()
    """Time and number, within the longer window."""
    added: tuple[tuple[float, int], ...] = ()
    """Time and number of pods added, within the period."""
    removed: tuple[tuple[float, int], ...] = ()


def by_pod_metric(
    ready: Sequence[float], unready: int, *, target: float, tolerance: Fraction
) -> int:
    """Pods wanted for an average value of `target` a pod.

    `ready` has the metric of each ready pod, `unready` is the number of pods that are not ready
    yet; terminating pods are in neither. With nothing ready there is no metric, and the number
    stays.
    """
    current = len(ready) + unready
    if not ready:
        return current
    wanted = Fraction(target)
    total = sum(map(Fraction, ready), Fraction(0))
    ratio = total / len(ready) / wanted
    if not (unready and ratio > 1):
        return current if abs(ratio - 1) <= tolerance else math.ceil(ratio * len(ready))
    # Pods that start count as carrying nothing, so that they are waited for.
    dampened = total / current / wanted
    if abs(dampened - 1) <= tolerance or dampened < 1:
        return current
    return max(current, math.ceil(dampened * current))


def by_total(total: float, current: int, *, threshold: float, tolerance: Fraction) -> int:
    """Pods wanted for an external metric of type AverageValue: its total over `threshold`.
    `current` is at least 1: at 0 the HPA is switched off."""
    ratio = Fraction(total) / (Fraction(threshold) * current)
    return (
        current if abs(ratio - 1) <= tolerance else math.ceil(Fraction(total) / Fraction(threshold))
    )


def settle(
    wanted: int,
    current: int,
    past: Past,
    *,
    now: float,
    least: int,
    most: int,
    behavior: Behavior = DEFAULT,
) -> tuple[int, Past]:
    """Windows, rates and bounds, in that order; the new number and what to remember."""
    longest = max(behavior.up_window, behavior.down_window)
    kept = tuple(one for one in past.recommendations if now - one[0] < longest)
    recommendations = (*kept, (now, wanted))
    number = _stable(recommendations, current, now, behavior)
    added = tuple(one for one in past.added if now - one[0] < behavior.period)
    removed = tuple(one for one in past.removed if now - one[0] < behavior.period)
    if number > current:
        before = current - sum(n for _, n in added) + sum(n for _, n in removed)
        limit = max(
            before + behavior.up_pods, before + math.ceil(before * behavior.up_percent / 100)
        )
        number = max(current, min(number, limit))
    number = min(max(number, least), most)
    if number > current:
        added = (*added, (now, number - current))
    elif number < current:
        removed = (*removed, (now, current - number))
    return number, Past(recommendations, added, removed)


def _stable(
    recommendations: Sequence[tuple[float, int]], current: int, now: float, behavior: Behavior
) -> int:
    """Up to the lowest of its window, down to the highest of its own."""
    newest = recommendations[-1][1]
    up = min([n for at, n in recommendations if now - at < behavior.up_window], default=newest)
    down = max([n for at, n in recommendations if now - at < behavior.down_window], default=newest)
    return min(max(current, up), down)

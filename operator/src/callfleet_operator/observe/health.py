"""Whether Prometheus can be relied on for one fleet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from callfleet_operator.observation import (
    FleetPod,
    Freshness,
    MetricsHealth,
    MetricsProblem,
    PodLoad,
    Source,
)

SCRAPE_BUDGET = timedelta(seconds=90)
"""How long a pod may serve before Prometheus has to have data of it: discovery and a scrape."""


def fleet_health(
    general: MetricsHealth, pods: Iterable[FleetPod], now: datetime, since: datetime | None
) -> MetricsHealth:
    """`general` holds for all fleets; of this one Prometheus may know nothing of use all the same.

    `since` is when this fleet's health was first not good; None if it was.
    """
    if general.problem is not None:
        return general
    expected = [
        pod
        for pod in pods
        if pod.ready
        and not pod.terminating
        and pod.ready_changed is not None
        and now - pod.ready_changed > SCRAPE_BUDGET
    ]
    if not expected or any(pod.load.known for pod in expected):
        return general
    return MetricsHealth(MetricsProblem.NO_DATA, _why(expected), since or now)


def _why(pods: Sequence[FleetPod]) -> str:
    number = len(pods)
    found = {_reported(pod.load) for pod in pods}
    if Freshness.STALE in found:
        return (
            f"what it has of the {number} pods that serve is stale: see whether it still scrapes "
            "them, and how far it is behind"
        )
    if Freshness.CONTRADICTORY in found:
        return (
            f"what it has of the {number} pods that serve is no load: NaN, or some of their series "
            "only; see what the pods' /metrics say and what relabelling drops"
        )
    return (
        f"Prometheus has no series of any of the {number} pods that serve: it must scrape "
        "them with the target labels namespace, pod, pod_uid and callfleet_cluster or "
        "callfleet_pool (examples/prometheus.yaml)"
    )


def _reported(load: PodLoad) -> Freshness:
    """How Prometheus' data of a pod were judged, whatever the pod itself says."""
    if load.source is Source.PROMETHEUS:
        return load.freshness
    return load.reported or Freshness.MISSING

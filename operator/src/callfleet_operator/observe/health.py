"""Whether Prometheus can be relied on for one fleet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from callfleet_operator.observation import FleetPod, MetricsHealth, MetricsProblem, Source

SCRAPE_BUDGET = timedelta(seconds=90)
"""How long a pod may serve before Prometheus has to have data of it: discovery and a scrape."""


def fleet_health(
    general: MetricsHealth, pods: Iterable[FleetPod], now: datetime, since: datetime | None
) -> MetricsHealth:
    """`general` holds for all fleets; of this one Prometheus may know nothing all the same.

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
    if not expected or any(pod.load.source is Source.PROMETHEUS for pod in expected):
        return general
    return MetricsHealth(
        MetricsProblem.NO_DATA,
        f"Prometheus has no series of any of the {len(expected)} pods that serve: it must scrape "
        "them with the target labels namespace, pod, pod_uid and callfleet_cluster or "
        "callfleet_pool (examples/prometheus.yaml)",
        since or now,
    )

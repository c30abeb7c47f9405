"""The questions to Prometheus, one a metric for all objects together.

Contract: docs/reference/contracts.md, "Metrics". Ages are taken by Prometheus' own clock: the
same one that stamped the samples, however the operator's clock differs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

DEMAND_WINDOW = timedelta(minutes=5)
"""Over which the rate of new calls is taken, unless the operator is told otherwise."""
CALLS_WINDOW = "1h"
"""Calls last minutes to hours: their means, and the traffic they offer, need a longer look than the
room for those to come. Traffic is by custom that of an hour."""

COMPARED_WINDOW = "15m"
"""Over which connections through pods of two revisions are compared."""
LISTED_NAMES = 50
"""In one query, which travels in an address."""
OTHER_CAUSES = ("unauthorized", "expired", "quota", "unsupported", "mismatch", "bad_request")
"""Outcomes of Allocate that more relays cannot cure. `challenged` and `stale_nonce` are part of
every normal exchange, `draining` is the operator's own doing."""


class Metric(StrEnum):
    """What is asked for."""

    OCCUPANCY = "occupancy"
    """Participants and those about to join, or allocations."""
    CALLS = "calls"
    STRESS = "stress"
    AGE = "age"
    ARRIVALS = "arrivals"
    HOURLY_ARRIVALS = "hourly_arrivals"
    DURATION = "duration"
    CALL_SIZE = "call_size"
    ATTEMPTS = "attempts"
    FAILED = "failed"

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that tell the rows of the answer apart."""
        return FLEET_LABELS if self in _OF_FLEETS else POD_LABELS


POD_LABELS: Final = ("namespace", "pod", "pod_uid")
FLEET_LABELS: Final = ("namespace", "callfleet_cluster")
RESULT_LABELS: Final = ("result",)
OUTCOME_LABELS: Final = ("outcome",)
_OF_FLEETS: Final = frozenset(
    {Metric.ARRIVALS, Metric.HOURLY_ARRIVALS, Metric.DURATION, Metric.CALL_SIZE}
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The namespaces that are asked about; empty: all."""

    namespaces: tuple[str, ...] = ()

    def matcher(self) -> str:
        """Label matcher that pins the namespace in every query."""
        if not self.namespaces:
            return 'namespace!=""'
        # Names of namespaces hold nothing that a regular expression reads otherwise.
        return f'namespace=~"{"|".join(self.namespaces)}"'


def engine_queries(scope: Scope, demand_window: timedelta) -> dict[Metric, str]:
    """What is asked of all CallClusters."""
    window = f"{demand_window.total_seconds():.0f}s"
    fleet = "callfleet_cluster"
    where = f'{{{scope.matcher()},{fleet}!=""}}'
    prefix = "callfleet_engine"
    return {
        # Added up by Prometheus: with very many pods each row counts. Without one of both there
        # is no sum.
        Metric.OCCUPANCY: " + ".join(
            _by_pod(f"{prefix}_{who}{where}") for who in ("participants", "pending_joins")
        ),
        Metric.CALLS: _by_pod(f"{prefix}_calls{where}"),
        Metric.STRESS: _by_pod(f"{prefix}_stress_ratio{where}"),
        Metric.AGE: _by_pod(f"time() - timestamp({prefix}_participants{where})"),
        Metric.ARRIVALS: _by_fleet(f"rate({prefix}_calls_started_total{where}[{window}])", fleet),
        Metric.HOURLY_ARRIVALS: _by_fleet(
            f"rate({prefix}_calls_started_total{where}[{CALLS_WINDOW}])", fleet
        ),
        Metric.DURATION: _mean(f"{prefix}_call_duration_seconds", where, fleet),
        Metric.CALL_SIZE: _mean(f"{prefix}_call_participants", where, fleet),
    }


def participants_query(scope: Scope, clusters: Collection[str]) -> str:
    """Participants of each CallCluster of these names, those about to join left out: for its
    history. Many names are not listed, all clusters are asked for then."""
    fleet = "callfleet_cluster"
    listed = f'=~"{"|".join(sorted(clusters))}"' if len(clusters) <= LISTED_NAMES else '!=""'
    where = f"{{{scope.matcher()},{fleet}{listed}}}"
    return _by_fleet(_by_pod(f"callfleet_engine_participants{where}", fleet), fleet)


def relay_queries(scope: Scope) -> dict[Metric, str]:
    """What is asked of all TurnPools."""
    fleet = "callfleet_pool"
    where = f'{{{scope.matcher()},{fleet}!=""}}'
    prefix = "callfleet_relay"
    return {
        Metric.OCCUPANCY: _by_pod(f"{prefix}_allocations{where}"),
        Metric.STRESS: _by_pod(f"{prefix}_stress_ratio{where}"),
        Metric.AGE: _by_pod(f"time() - timestamp({prefix}_allocations{where})"),
    }


def engine_connection_queries(scope: Scope) -> dict[Metric, str]:
    """Attempts to connect and those that failed, of all CallClusters, while one is rolled out."""
    fleet, prefix = "callfleet_cluster", "callfleet_engine_ice"
    where = f'{{{scope.matcher()},{fleet}!=""}}'
    return {
        Metric.ATTEMPTS: _lately(f"{prefix}_attempts_total{where}", fleet),
        Metric.FAILED: _lately(f"{prefix}_failures_total{where}", fleet),
    }


def relay_connection_queries(scope: Scope) -> dict[Metric, str]:
    """The same of all TurnPools: users with valid credentials, and those who were not served."""
    fleet, users = "callfleet_pool", "callfleet_relay_users_total"
    where = f'{scope.matcher()},{fleet}!=""'
    return {
        Metric.ATTEMPTS: _lately(f"{users}{{{where}}}", fleet),
        Metric.FAILED: _lately(f'{users}{{{where},result!="served"}}', fleet),
    }


def users_query(namespace: str, pool: str, seconds: int) -> str:
    """Users of one pool by result (`RESULT_LABELS`) over its own window."""
    where = _pool(namespace, pool)
    return f"sum by (result) (increase(callfleet_relay_users_total{{{where}}}[{seconds}s]))"


def outcomes_query(namespace: str, pool: str, seconds: int) -> str:
    """Failed Allocate requests of one pool that more relays cannot cure, by outcome
    (`OUTCOME_LABELS`)."""
    where = f'{_pool(namespace, pool)},outcome=~"{"|".join(OTHER_CAUSES)}"'
    return (
        f"sum by (outcome) (increase(callfleet_relay_allocate_requests_total{{{where}}}"
        f"[{seconds}s]))"
    )


class Past(StrEnum):
    """What is asked of the past of one CallCluster."""

    PARTICIPANTS = "participants"
    BEGUN = "begun"
    DURATION_BUCKETS = "duration_buckets"
    SIZE_SUM = "size_sum"
    SIZE_COUNT = "size_count"


def past_queries(
    namespace: str, cluster: str, *, step: timedelta, whole: timedelta
) -> dict[Past, str]:
    """Who was there and how many calls began within each step, at each of its ends; how long all
    calls lasted that ended within the whole time, and how many people they had, at its end."""
    fleet, prefix = "callfleet_cluster", "callfleet_engine"
    where = f'{{namespace="{_quoted(namespace)}",{fleet}="{_quoted(cluster)}"}}'
    length = f"{whole.total_seconds():.0f}s"
    size = f"{prefix}_call_participants"
    begun = _begun(f"{prefix}_calls_started_total{where}", step)
    return {
        Past.PARTICIPANTS: _by_fleet(_by_pod(f"{prefix}_participants{where}", fleet), fleet),
        Past.BEGUN: _by_fleet(_by_pod(begun, fleet), fleet),
        Past.DURATION_BUCKETS: (
            f"sum by (le) (increase({prefix}_call_duration_seconds_bucket{where}[{length}]))"
        ),
        Past.SIZE_SUM: f"sum(increase({size}_sum{where}[{length}]))",
        Past.SIZE_COUNT: f"sum(increase({size}_count{where}[{length}]))",
    }


def _begun(counter: str, step: timedelta) -> str:
    """By how much the counter of each pod grew within a step.

    A new pod began at nothing. A pod that was known within the hour, though not at the begin of
    the step, comes back from a gap of the scrapes: when its calls began is not known. Nor is it
    of one that was not scraped within the step, though Prometheus still has a value for it.
    """
    seconds = f"{step.total_seconds():.0f}"
    before = f"{counter} offset {seconds}s"
    new = f"{counter} unless last_over_time({counter}[1h] offset {seconds}s)"
    scraped = f"timestamp({counter}) > time() - {seconds}"
    return f"(clamp_min({counter} - {before}, 0) or ({new})) and ({scraped})"


def _by_pod(expression: str, *more: str) -> str:
    """`more` are labels that are asked for beside those that tell pods apart: with very many pods
    each one counts."""
    # max: two Prometheus jobs or replicas may scrape one pod, which then is seen twice.
    return f"max by ({', '.join((*POD_LABELS, *more))}) ({expression})"


def _lately(counter: str, fleet: str) -> str:
    """By how much the counters of each pod grew, in whole numbers.

    A series that began within the window began at nothing. increase() takes it to have begun with
    its first sample, which on a new pod is where most of what counts would be lost.
    """
    before = f"({counter} offset {COMPARED_WINDOW} or {counter} * 0)"
    labels = f"namespace, pod, pod_uid, {fleet}"
    grown = f"max by ({labels}, path, cause, result) (clamp_min({counter} - {before}, 0))"
    return f"sum by ({labels}) ({grown})"


def _by_fleet(expression: str, fleet: str) -> str:
    return f"sum by (namespace, {fleet}) ({expression})"


def _mean(histogram: str, where: str, fleet: str) -> str:
    total, count = (
        _by_fleet(f"rate({histogram}_{part}{where}[{CALLS_WINDOW}])", fleet)
        for part in ("sum", "count")
    )
    return f"{total} / {count}"


def _pool(namespace: str, pool: str) -> str:
    return f'namespace="{_quoted(namespace)}",callfleet_pool="{_quoted(pool)}"'


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)


def scope_of(namespaces: Iterable[str]) -> Scope:
    """The scope of the operator's own setting."""
    return Scope(tuple(sorted(set(namespaces))))

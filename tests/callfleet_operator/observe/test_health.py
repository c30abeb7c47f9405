"""Whether Prometheus can be relied on for a fleet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from callfleet_operator.observation import (
    Admission,
    FleetPod,
    Freshness,
    Interval,
    MetricsHealth,
    MetricsProblem,
    PodLoad,
    Source,
)
from callfleet_operator.observe.health import SCRAPE_BUDGET, fleet_health

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GOOD = MetricsHealth()


def pod(
    source: Source,
    *,
    ready: bool = True,
    age: timedelta = timedelta(hours=1),
    freshness: Freshness | None = None,
    reported: Freshness | None = None,
) -> FleetPod:
    if freshness is None:
        freshness = Freshness.MISSING if source is Source.NONE else Freshness.FRESH
    load = PodLoad(Interval(0, 10), 10, Interval(0, 1), freshness, source, reported=reported)
    return FleetPod(
        name="a-0",
        uid="u",
        resource_version="1",
        ordinal=0,
        revision="r",
        node="n",
        zone="",
        address="10.0.0.1",
        admission=Admission.OPEN,
        ready=ready,
        failed=False,
        failure="",
        terminating=False,
        created=NOW - age,
        ready_changed=NOW - age,
        drain_id="",
        drain_started=None,
        load=load,
    )


def test_no_pods_no_problem() -> None:
    assert fleet_health(GOOD, [], NOW, None) == GOOD


def test_data_of_one_pod_are_data() -> None:
    assert fleet_health(GOOD, [pod(Source.PROMETHEUS), pod(Source.NONE)], NOW, None) == GOOD


def test_nothing_of_any_pod_is_a_problem_since_it_began() -> None:
    pods = [pod(Source.NONE), pod(Source.POD_STATUS)]
    found = fleet_health(GOOD, pods, NOW, None)
    assert (found.problem, found.since) == (MetricsProblem.NO_DATA, NOW)
    assert "callfleet_cluster or callfleet_pool" in found.detail
    later = fleet_health(GOOD, pods, NOW + timedelta(minutes=5), found.since)
    assert later.since == NOW


@pytest.mark.parametrize(
    ("freshness", "says"),
    [
        (Freshness.MISSING, "no series of any of the 2 pods"),
        (Freshness.STALE, "what it has of the 2 pods that serve is stale"),
        (Freshness.CONTRADICTORY, "what it has of the 2 pods that serve is no load: NaN"),
    ],
)
def test_what_is_wrong_with_the_data_of_all_is_said(freshness: Freshness, says: str) -> None:
    """Whether the pods themselves have been asked or not."""
    asked = pod(Source.POD_STATUS, reported=freshness)
    silent = pod(Source.PROMETHEUS, freshness=freshness)
    if freshness is Freshness.MISSING:
        silent = pod(Source.NONE)
    for pods in ((asked, asked), (silent, silent)):
        found = fleet_health(GOOD, pods, NOW, None)
        assert found.problem is MetricsProblem.NO_DATA
        assert says in found.detail


def test_pods_that_are_new_or_do_not_serve_prove_nothing() -> None:
    assert fleet_health(GOOD, [pod(Source.NONE, age=SCRAPE_BUDGET)], NOW, None) == GOOD
    assert fleet_health(GOOD, [pod(Source.NONE, ready=False)], NOW, None) == GOOD


def test_a_general_problem_stands() -> None:
    away = MetricsHealth(MetricsProblem.UNREACHABLE, "refused", NOW)
    assert fleet_health(away, [pod(Source.NONE)], NOW, None) == away

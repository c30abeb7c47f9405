"""Each way in which Prometheus fails, through whole rounds: what is said of it, what is not done
for want of it, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.gateway.resources import EVENTS
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.gateway.prometheus_server import Server
from tests.callfleet_operator.reconcile import faulty_prometheus as faults
from tests.callfleet_operator.reconcile.faulty_prometheus import (
    Fault,
    FaultyPrometheus,
    faulty_prometheus,
)
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World, world
from tests.cluster.api_server import ApiServer

pytestmark = pytest.mark.api

SERVED = timedelta(minutes=2)
"""Longer than a pod may serve before Prometheus has to know it."""
PEOPLE = 4
"""On each of two pods of ten: two are what it takes."""
MOST_ROUNDS = 30


@dataclass(frozen=True)
class Case:
    """A fault, and what on-call sees of it."""

    fault: Fault
    reason: str
    says: str
    remedy: str
    active: tuple[str, str] = ("False", "Holding")
    """Status and reason of ScalingActive."""


PARTIAL = ("True", "PartialData")
CASES = {
    "empty": Case(
        faults.nothing,
        "NoData",
        "no series of any of the 2 pods that serve",
        "discover pods by their annotations",
    ),
    "nan": Case(
        faults.not_a_number, "NoData", "no series of any of the 2 pods", "Prometheus scrapes"
    ),
    "nan-of-one-metric": Case(faults.no_participants, "NoData", "is no load: NaN", "/metrics"),
    "stale": Case(faults.behind, "NoData", "of the 2 pods that serve is stale", "still scrapes"),
    "partial": Case(
        faults.without("calls-engine-1"),
        "PartialData",
        "1 of 2 pods without trusted data (only from the pod itself: calls-engine-1)",
        "among the targets of Prometheus",
        PARTIAL,
    ),
    "slow": Case(faults.slow, "PrometheusUnreachable", "no answer in 2 s", "--prometheus-url"),
    "401": Case(faults.refusing, "PrometheusUnauthorized", "HTTP 401", "Renew the credentials"),
    "503": Case(
        faults.overloaded, "PrometheusError", "HTTP 503: query timed out", "logs of Prometheus"
    ),
    "warnings": Case(
        faults.warning,
        "PartialData",
        "store eu-1 did not answer",
        "what its warning names",
        PARTIAL,
    ),
}


@pytest.fixture
async def between(
    api_server: ApiServer,
    api_namespace: str,
    operator_kubeconfig: Path,
    prometheus_server: Server,
) -> AsyncIterator[tuple[World, FaultyPrometheus]]:
    """A world, and what stands between its operator and Prometheus."""
    async with (
        faulty_prometheus(prometheus_server.url) as (faulty, url),
        world(
            api_server,
            api_namespace,
            operator_kubeconfig,
            url,
            prometheus_server.exporter,
            answer_within=2,
        ) as made,
    ):
        yield made, faulty


@pytest.mark.parametrize("name", CASES)
async def test_nothing_is_lost_and_on_call_is_told(
    between: tuple[World, FaultyPrometheus], name: str
) -> None:
    (here, faulty), case = between, CASES[name]
    key = await make_cluster(here)
    await two_pods_with_people(here, key)
    here.later = SERVED
    before = await well(here, key)

    mark = await here.mark()
    said = await begun(here, faulty, key, case)
    assert case.says in said
    told = ("Warning", f"MetricsAvailable is False: {said}")
    assert told in await events_of(here, key, case.reason)
    now = await here.status(key)
    assert now["replicas"] == before["replicas"]
    assert now["participants"] == before["participants"] > 0
    assert now["utilizationPercent"] == before["utilizationPercent"] > 0

    await everybody_hangs_up(here, faulty, key)
    assert (await here.status(key))["replicas"] == before["replicas"]
    assert await here.writes(mark, "pods") == []
    assert len(here.pods) == 2

    told_before = await events_of(here, key, "PrometheusAnswers")
    faulty.mend()
    await well(here, key)
    told_now = await events_of(here, key, "PrometheusAnswers")
    assert len(told_now) == len(told_before) + 1
    assert {kind for kind, _ in told_now} == {"Normal"}
    assert (await here.condition(key, "ScalingActive"))[:2] == ("True", "ValidMetricFound")
    await one_pod_left(here, key)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"nan-of-one-metric", "partial"}))
async def test_no_relay_is_taken_away_and_on_call_is_told(
    between: tuple[World, FaultyPrometheus], name: str
) -> None:
    (here, faulty), case = between, CASES[name]
    key = await make_pool(here)
    await two_pods_with_people(here, key)
    here.later = SERVED
    before = await well(here, key)

    mark = await here.mark()
    await begun(here, faulty, key, case)

    await everybody_hangs_up(here, faulty, key)
    assert (await here.status(key))["replicas"] == before["replicas"]
    assert await here.writes(mark, "pods") == []
    assert len(here.pods) == 2

    faulty.mend()
    await well(here, key)
    await one_pod_left(here, key)


async def test_what_pods_would_not_say_is_left_out(
    between: tuple[World, FaultyPrometheus],
) -> None:
    """With fallback Hold nobody is asked in Prometheus' place: unknown is never zero."""
    here, faulty = between
    key = await make_cluster(here, metrics={"fallback": "Hold"})
    await two_pods_with_people(here, key)
    await well(here, key)
    faulty.begin(faults.refusing)
    mark = await here.mark()
    await here.settle(key, rounds=1)
    now = await here.status(key)
    assert "participants" not in now
    assert "utilizationPercent" not in now
    assert now["replicas"]["desired"] == now["replicas"]["open"] == 2
    assert "or added (metrics.fallback is Hold)" in (await here.condition(key, "ScalingActive"))[2]
    assert await here.writes(mark, "pods") == []
    faulty.mend()
    assert (await well(here, key))["participants"] > 0


async def begun(here: World, faulty: FaultyPrometheus, key: Key, case: Case) -> str:
    """The message of MetricsAvailable after the first round under a fault."""
    faulty.begin(case.fault)
    await here.settle(key, rounds=1)
    assert faulty.met > 0
    status, reason, said = await here.condition(key, "MetricsAvailable")
    assert (status, reason) == ("False", case.reason)
    assert case.remedy in said
    status, reason, message = await here.condition(key, "ScalingActive")
    assert (status, reason) == case.active
    assert "No pod will be removed" in message
    assert (await here.condition(key, "Ready"))[0] == "True"
    return said


async def everybody_hangs_up(here: World, faulty: FaultyPrometheus, key: Key) -> None:
    faulty.nobody_is_left()
    for pod in here.pods.values():
        pod.used = pod.calls = 0
    await here.settle(key, rounds=1)


async def two_pods_with_people(here: World, key: Key) -> None:
    await here.settle(key)
    for pod in here.pods.values():
        pod.used = 2 * PEOPLE
    for _ in range(MOST_ROUNDS):
        await here.settle(key, rounds=1)
        if len(here.pods) == 2:
            break
    for pod in here.pods.values():
        pod.used, pod.calls = PEOPLE, 2
    assert len(here.pods) == 2


async def well(here: World, key: Key) -> dict[str, Any]:
    """The status, once Prometheus has answered and knows every pod."""
    for _ in range(MOST_ROUNDS):
        await here.settle(key, rounds=1)
        if (await here.condition(key, "MetricsAvailable"))[0] == "True":
            return await here.status(key)
    raise AssertionError(await here.condition(key, "MetricsAvailable"))


async def one_pod_left(here: World, key: Key) -> None:
    """What the load had asked for all the time."""
    before = set(here.pods)
    for _ in range(MOST_ROUNDS):
        if len(here.pods) == 1:
            break
        await here.settle(key, rounds=1)
    assert (await here.status(key))["replicas"]["desired"] == 1
    (gone,) = before - set(here.pods)
    assert here.ended[gone].sealed_at() is not None


async def events_of(here: World, key: Key, reason: str) -> list[tuple[str, str]]:
    """Type and text of each."""
    found = await here.people.list_all(EVENTS, here.namespace)
    return [
        (one["type"], one["note"])
        for one in found
        if one["reason"] == reason and one["regarding"]["name"] == key.name
    ]

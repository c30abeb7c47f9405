"""How long one look at a real Prometheus serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from callfleet_operator.gateway.prometheus import Answer, Prometheus
from callfleet_operator.observe.queries import scope_of
from callfleet_operator.reconcile.metrics_source import MetricsSource
from tests.callfleet_operator.gateway.prometheus_server import Exporter, Server
from tests.waiting import until

pytestmark = pytest.mark.peer

NAME = ("looks", "calls-engine-0")


class Clock:
    """Each look at it takes so long."""

    def __init__(self, step: float) -> None:
        self.now = datetime.now(UTC)
        self.step = timedelta(seconds=step)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


@pytest.fixture
async def prometheus(prometheus_server: Server) -> AsyncIterator[Prometheus]:
    made = Prometheus(prometheus_server.url, timeout=5)
    yield made
    made.close()
    await asyncio.to_thread(prometheus_server.exporter.show, "looks", "")


async def show(exporter: Exporter, participants: int) -> None:
    labels = 'namespace="looks",pod="calls-engine-0",pod_uid="u",callfleet_cluster="calls"'
    lines = (
        f"callfleet_engine_participants{{{labels}}} {participants}",
        f"callfleet_engine_pending_joins{{{labels}}} 0",
        f'callfleet_engine_stress_ratio{{{labels},resource="cpu"}} 0',
    )
    await asyncio.to_thread(exporter.show, "looks", "".join(f"{line}\n" for line in lines))


async def participants(source: MetricsSource) -> float:
    (reading,) = (await source.engines()).snapshot.readings[NAME]
    return reading.used


def source_of(prometheus: Prometheus, clock: Clock) -> MetricsSource:
    return MetricsSource(prometheus, scope_of(["looks"]), max_age=timedelta(seconds=3), now=clock)


async def test_a_quick_look_is_shared_for_a_while_only(
    prometheus: Prometheus, prometheus_server: Server
) -> None:
    clock = Clock(0)
    source = source_of(prometheus, clock)
    await show(prometheus_server.exporter, 1)
    assert await participants(source) == 1
    await show(prometheus_server.exporter, 2)
    assert await participants(source) == 1
    clock.now += timedelta(seconds=4)
    assert await participants(source) == 2


async def test_nobody_waits_for_the_renewal_of_a_slow_one(
    prometheus: Prometheus, prometheus_server: Server
) -> None:
    clock = Clock(0.3)  # two steps from the begin of a look to its end: it serves for 6 s
    source = source_of(prometheus, clock)
    await show(prometheus_server.exporter, 1)
    assert await participants(source) == 1
    await show(prometheus_server.exporter, 2)
    clock.now += timedelta(seconds=4)
    assert await participants(source) == 1
    clock.now += timedelta(seconds=4)
    assert await participants(source) == 1  # and begins to renew it

    async def is_renewed() -> bool:
        return await participants(source) != 1

    await until(is_renewed)


async def test_what_is_very_old_is_not_given(
    prometheus: Prometheus, prometheus_server: Server
) -> None:
    clock = Clock(0.3)
    source = source_of(prometheus, clock)
    await show(prometheus_server.exporter, 1)
    assert await participants(source) == 1
    await show(prometheus_server.exporter, 2)
    clock.now += timedelta(seconds=60)
    assert await participants(source) == 2


async def test_failures_that_are_not_all_are_none() -> None:
    """Who tried comes from one store and who failed from another, which is away."""

    class Partial(Prometheus):
        async def query(self, _promql: str, labels: Sequence[str]) -> Answer:
            warnings = ("store eu-1 did not answer",) if "result" in labels else ()
            return Answer({}, warnings)

    prometheus = Partial("http://127.0.0.1:1", timeout=5)
    try:
        source = source_of(prometheus, Clock(0))
        since = datetime.now(UTC) - timedelta(minutes=1)
        assert await source.failures("media", "relays", since) is None
    finally:
        prometheus.close()

"""The questions to Prometheus: each pins the namespace, and a real one understands it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callfleet_operator.gateway.prometheus import Prometheus
from callfleet_operator.observe.queries import (
    DEMAND_WINDOW,
    OUTCOME_LABELS,
    RESULT_LABELS,
    Metric,
    Scope,
    engine_connection_queries,
    engine_queries,
    outcomes_query,
    relay_connection_queries,
    relay_queries,
    scope_of,
    users_query,
)
from tests.callfleet_operator.gateway.prometheus_server import prometheus


@pytest.mark.parametrize("scope", [Scope(), scope_of(["calls", "media", "calls"])])
def test_every_query_pins_the_namespace(scope: Scope) -> None:
    every = (
        engine_queries(scope, DEMAND_WINDOW),
        relay_queries(scope),
        engine_connection_queries(scope),
        relay_connection_queries(scope),
    )
    for text in (text for queries in every for text in queries.values()):
        assert text.count(scope.matcher()) == text.count("{")
    assert scope_of(["b", "a", "b"]).matcher() == 'namespace=~"a|b"'


def test_names_cannot_break_out() -> None:
    assert 'callfleet_pool="a\\"} or {x=\\""' in users_query("n", 'a"} or {x="', 60)


PAGE = """
callfleet_engine_participants{{{a}}} 7
callfleet_engine_participants{{{a},job="twice"}} 7
callfleet_engine_participants{{namespace="calls",pod="foreign"}} 99
callfleet_engine_participants{{{h}}} 5
callfleet_engine_pending_joins{{{a}}} 2
callfleet_engine_stress_ratio{{{a},resource="cpu"}} 0.25
callfleet_engine_stress_ratio{{{a},resource="loop"}} 0.75
callfleet_relay_allocations{{{r}}} 4
callfleet_relay_users_total{{{r},result="served"}} {n}
callfleet_relay_users_total{{{r},result="capacity"}} {n}
callfleet_relay_allocate_requests_total{{{r},outcome="challenged"}} {n}
callfleet_relay_allocate_requests_total{{{r},outcome="expired"}} {n}
callfleet_engine_calls_started_total{{{a}}} {n}
callfleet_engine_ice_attempts_total{{{a},path="relayed"}} {n}
callfleet_engine_ice_attempts_total{{{a},path="relayed",job="twice"}} {n}
callfleet_engine_ice_attempts_total{{{a},path="direct"}} 7
callfleet_engine_call_duration_seconds_sum{{{a}}} {sum}
callfleet_engine_call_duration_seconds_count{{{a}}} {n}
"""
FIRST_FAILURES = """
callfleet_engine_ice_failures_total{{{a},path="relayed",cause="timeout"}} 3
callfleet_engine_ice_failures_total{{{a},path="relayed",cause="no_route"}} 2
"""
"""A series begins with its first failures."""
ENGINE = 'namespace="calls",pod="a-0",pod_uid="u",callfleet_cluster="a"'
HALF = 'namespace="calls",pod="a-1",pod_uid="w",callfleet_cluster="a"'
"""Says how many take part, not how many are about to."""
RELAY = 'namespace="calls",pod="r-0",pod_uid="v",callfleet_pool="r"'


@pytest.mark.peer
async def test_a_real_prometheus_understands_them(tmp_path: Path) -> None:
    with prometheus(tmp_path, interval="1s") as server:
        for n in (0, 100):
            page = PAGE.format(a=ENGINE, h=HALF, r=RELAY, n=n, sum=n * 60)
            page += FIRST_FAILURES.format(a=ENGINE) if n else ""
            await asyncio.to_thread(server.exporter.show, "test", page)
        client = Prometheus(server.url, timeout=10)
        try:
            engines, relays = [
                {
                    metric: (await client.query(text, metric.labels)).values
                    for metric, text in queries.items()
                }
                for queries in (engine_queries(Scope(), DEMAND_WINDOW), relay_queries(Scope()))
            ]
            tried, served = [
                {
                    metric: (await client.query(text, metric.labels)).values
                    for metric, text in queries.items()
                }
                for queries in (
                    engine_connection_queries(Scope()),
                    relay_connection_queries(Scope()),
                )
            ]
            users = (await client.query(users_query("calls", "r", 60), RESULT_LABELS)).values
            outcomes = (await client.query(outcomes_query("calls", "r", 60), OUTCOME_LABELS)).values
        finally:
            client.close()
    engine, relay = ("calls", "a-0", "u"), ("calls", "r-0", "v")
    assert engines[Metric.OCCUPANCY] == {engine: 9}  # once, though two jobs scrape it
    assert engines[Metric.STRESS] == {engine: 0.75}
    assert relays[Metric.OCCUPANCY] == {relay: 4}
    assert 0 <= engines[Metric.AGE][engine] < 60
    assert 0 <= relays[Metric.AGE][relay] < 60
    assert engines[Metric.ARRIVALS]["calls", "a"] > 0
    assert engines[Metric.DURATION] == {("calls", "a"): pytest.approx(60)}
    assert engines[Metric.CALL_SIZE] == {}
    assert users["served",] == pytest.approx(users["capacity",])
    assert users["served",] >= 100
    assert set(outcomes) == {("expired",)}
    # Whole numbers, from nothing on, and once though two jobs scrape the pod.
    assert tried == {Metric.ATTEMPTS: {engine: 107}, Metric.FAILED: {engine: 5}}
    assert served == {Metric.ATTEMPTS: {relay: 200}, Metric.FAILED: {relay: 100}}

"""The operator's pages over real HTTP."""

from __future__ import annotations

import aiohttp
import pytest

from callfleet_operator.handlers.http import Health, application, serving
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.settings import ListenAddress

POOL = Key(Kind.TURN_POOL, "media", "relays")


async def get(path: str, *, waited: float, leading: bool = True) -> tuple[int, str, str]:
    metrics = OperatorMetrics(clock=lambda: 100.0, wall=lambda: 1_000_000.0)
    metrics.finished(POOL, 0.5)
    health = Health(lambda: waited, metrics.round_ages, 300, lambda: leading)
    app = application(metrics.registry, health)
    async with (
        serving(app, ListenAddress("127.0.0.1", 0)) as address,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{address.port}{path}") as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


async def test_alive() -> None:
    status, _, text = await get("/healthz", waited=12.34)
    assert status == 200
    assert text == (
        '{"status": "ok", "leading": true, "longestWaitSeconds": 12.3, "maxWaitSeconds": 300, '
        '"lastRoundAgeSeconds": {"TurnPool": 0.0}}'
    )


async def test_a_standby_is_alive() -> None:
    status, _, text = await get("/healthz", waited=0, leading=False)
    assert status == 200
    assert '"leading": false' in text


async def test_stuck() -> None:
    status, _, text = await get("/healthz", waited=300.1)
    assert status == 503
    assert '"status": "stuck"' in text


async def test_metrics() -> None:
    status, kind, text = await get("/metrics", waited=0)
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert 'callfleet_operator_last_reconcile_timestamp_seconds{kind="TurnPool"} 1e+06' in text


async def test_an_address_that_is_taken() -> None:
    metrics = OperatorMetrics(clock=lambda: 0.0, wall=lambda: 0.0)
    health = Health(lambda: 0.0, metrics.round_ages, 1, lambda: True)
    first, second = (application(metrics.registry, health) for _ in range(2))
    async with serving(first, ListenAddress("127.0.0.1", 0)) as address:
        with pytest.raises(OSError, match="address already in use"):
            async with serving(second, address):
                pass

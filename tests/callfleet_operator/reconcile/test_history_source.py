"""History for forecasts: fetched beside the rounds, from servers good and bad and a real one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from callfleet_operator.gateway.prometheus import Prometheus
from callfleet_operator.observation import NoOutlook, Outlook
from callfleet_operator.observe.history import SLOTS, slot_of, time_of
from callfleet_operator.observe.queries import Scope
from callfleet_operator.plan.seasonal import STEP
from callfleet_operator.reconcile.history_source import FORGOTTEN_AFTER, HistorySource
from tests.callfleet_operator.gateway.prometheus_server import prometheus
from tests.callfleet_operator.gateway.test_prometheus import server
from tests.waiting import until

NAME = ("calls", "demo")
HOUR = timedelta(hours=1)


def people(time: float) -> float:
    """200 from 8:00 to 18:00 UTC, 20 at night."""
    return 200.0 if 8 * 3600 <= time % 86_400 < 18 * 3600 else 20.0


class Past:
    """A server that knows one cluster's past."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.warning = ""
        self.down = False
        self.shape: Callable[[float], float] = people

    async def answer(self, request: web.Request) -> web.Response:
        assert request.path == "/api/v1/query_range"
        query = dict(request.query)
        self.asked.append(query)
        if self.down:
            return web.json_response({"status": "error", "error": "compacting"}, status=503)
        start, end, step = (int(query[name]) for name in ("start", "end", "step"))
        values = [[time, str(self.shape(time))] for time in range(start, end + 1, step)]
        labels = {"namespace": NAME[0], "callfleet_cluster": NAME[1]}
        data = {"resultType": "matrix", "result": [{"metric": labels, "values": values}]}
        more = {"warnings": [self.warning]} if self.warning else {}
        return web.json_response({"status": "success", "data": data} | more)


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 15, 7, 31, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@asynccontextmanager
async def source(past: Past, clock: Clock) -> AsyncIterator[HistorySource]:
    async with server(past.answer) as url:
        client = Prometheus(url, timeout=5)
        try:
            yield HistorySource(client, Scope(), now=clock)
        finally:
            client.close()


async def test_nothing_is_asked_while_nobody_wants_a_forecast() -> None:
    past, clock = Past(), Clock()
    async with source(past, clock) as history:
        assert await history.catch_up()
    assert past.asked == []


async def test_a_round_never_waits_and_the_next_one_knows() -> None:
    past, clock = Past(), Clock()
    async with source(past, clock) as history:
        first = history.outlook(NAME, HOUR)
        assert isinstance(first, NoOutlook)
        assert "it is coming" in first.reason
        assert await history.catch_up()
        found = history.outlook(NAME, HOUR)
    assert isinstance(found, Outlook)
    assert found.peak == pytest.approx(200)
    assert found.beats_last_value
    assert all('callfleet_cluster=~"demo"' in one["query"] for one in past.asked)
    assert all('namespace!=""' in one["query"] for one in past.asked)


async def test_after_that_only_what_is_new_is_asked_for_once_a_step() -> None:
    past, clock = Past(), Clock()
    async with source(past, clock) as history:
        history.outlook(NAME, HOUR)
        await history.catch_up()
        first = len(past.asked)
        await history.catch_up()
        assert len(past.asked) == first
        clock.time += STEP
        history.outlook(NAME, HOUR)
        await history.catch_up()
    (new,) = past.asked[first:]
    assert new["start"] == new["end"] == str(int(time_of(slot_of(clock.time)).timestamp()))


async def test_warnings_leave_the_history_unknown_and_are_passed_on() -> None:
    past, clock = Past(), Clock()
    past.warning = "a store did not answer"
    async with source(past, clock) as history:
        history.outlook(NAME, HOUR)
        assert not await history.catch_up()
        found = history.outlook(NAME, HOUR)
        assert isinstance(found, NoOutlook)
        assert "a store did not answer" in found.reason
        past.warning = ""
        assert await history.catch_up()
        assert isinstance(history.outlook(NAME, HOUR), Outlook)


async def test_an_outage_lets_the_forecast_end_with_its_reason() -> None:
    past, clock = Past(), Clock()
    async with source(past, clock) as history:
        history.outlook(NAME, HOUR)
        await history.catch_up()
        past.down = True
        clock.time += STEP
        assert not await history.catch_up()
        assert isinstance(history.outlook(NAME, HOUR), Outlook), "one step late is no matter"
        clock.time += STEP
        found = history.outlook(NAME, HOUR)
    assert isinstance(found, NoOutlook)
    assert "known up to 2026-01-15T07:30:00Z; Prometheus did not give it" in found.reason
    assert "compacting" in found.reason


async def test_values_that_are_no_numbers_are_unknown() -> None:
    past, clock = Past(), Clock()
    past.shape = lambda _: float("nan")
    async with source(past, clock) as history:
        history.outlook(NAME, HOUR)
        await history.catch_up()
        assert history.outlook(NAME, HOUR) == NoOutlook(
            "Prometheus has no history of the participants"
        )


async def test_a_cluster_that_nobody_asks_for_is_forgotten() -> None:
    past, clock = Past(), Clock()
    async with source(past, clock) as history:
        history.outlook(NAME, HOUR)
        await history.catch_up()
        clock.time += FORGOTTEN_AFTER + STEP
        asked = len(past.asked)
        await history.catch_up()
        assert len(past.asked) == asked


async def test_it_runs_beside_the_rounds_until_cancelled() -> None:
    past, clock = Past(), Clock()
    async with source(past, clock) as history:
        task = asyncio.create_task(history.run())
        history.outlook(NAME, HOUR)
        await until(lambda: isinstance(history.outlook(NAME, HOUR), Outlook))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.peer
async def test_a_real_prometheus_with_a_past(tmp_path: Path) -> None:
    clock = Clock()
    clock.time = datetime.now(UTC)
    _backfill(tmp_path, clock.time)
    with prometheus(tmp_path) as real:
        client = Prometheus(real.url, timeout=10)
        try:
            history = HistorySource(client, Scope(), now=clock)
            history.outlook(NAME, timedelta(days=1))
            assert await history.catch_up()
            found = history.outlook(NAME, timedelta(days=1))
        finally:
            client.close()
    assert isinstance(found, Outlook), found
    assert found.peak == pytest.approx(200, rel=0.2)
    assert found.error < 1
    assert found.beats_last_value


def _backfill(directory: Path, now: datetime) -> None:
    """Twelve days of two pods' samples, as blocks of Prometheus' own store."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("promtool is missing: apt-get install --no-install-recommends prometheus")
    last = slot_of(now)
    labels = 'namespace="calls",callfleet_cluster="demo",pod="{pod}",pod_uid="{pod}"'
    lines = ["# TYPE callfleet_engine_participants gauge"]
    for pod in ("a", "b"):
        for slot in range(max(last - 12 * 144, last - SLOTS), last + 1):
            time = time_of(slot).timestamp()
            series = f"callfleet_engine_participants{{{labels.format(pod=pod)}}}"
            lines.append(f"{series} {people(time) / 2} {time:.0f}")
    page = directory / "past.txt"
    page.write_text("\n".join([*lines, "# EOF", ""]))
    (directory / "data").mkdir()
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", page, directory / "data"],
        check=True,
        capture_output=True,
        timeout=60,
    )

"""Prometheus: the real one, and servers that are not what they should be."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from callfleet_operator.gateway import prometheus as module
from callfleet_operator.gateway.prometheus import Prometheus, PrometheusError
from callfleet_operator.observation import MetricsProblem
from tests.callfleet_operator.gateway.prometheus_server import prometheus

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def asking(
    url: str,
    within: float = 5.0,
    token_file: Path | None = None,
) -> AsyncIterator[Prometheus]:
    client = Prometheus(url, timeout=within, token_file=token_file)
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", handler)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answer(*rows: tuple[dict[str, str], str], **more: object) -> web.Response:
    result = [{"metric": labels, "value": [1.0, value]} for labels, value in rows]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return web.json_response(body | more)


async def failing(handler: Handler, within: float = 5.0) -> PrometheusError:
    async with server(handler) as url, asking(url, within) as client:
        with pytest.raises(PrometheusError) as caught:
            await client.query("up", ("pod",))
    return caught.value


@pytest.mark.peer
async def test_a_real_prometheus(tmp_path: Path) -> None:
    with prometheus(tmp_path) as real:
        await asyncio.to_thread(
            real.exporter.show,
            "test",
            'participants{namespace="calls",pod="a-0"} 7\n'
            'participants{namespace="calls",pod="a-1"} NaN\n'
            'participants{namespace="calls",pod="a-2"} +Inf\n',
        )
        async with asking(real.url) as client:
            found = await client.query('participants{namespace="calls"}', ("pod", "other"))
            assert found.values == {("a-0", ""): 7.0}
            assert found.warnings == ()

            age = await client.query('time() - timestamp(participants{pod="a-0"})', ())
            assert 0 <= age.values[()] < 60

            assert (await client.query("nothing", ())).values == {}
            with pytest.raises(PrometheusError, match="parse error") as caught:
                await client.query("sum by (", ("pod",))
    assert caught.value.problem is MetricsProblem.ERROR


async def test_nobody_listens() -> None:
    async with asking("http://127.0.0.1:1") as client:
        with pytest.raises(PrometheusError, match="refused") as caught:
            await client.query("up", ("pod",))
    assert caught.value.problem is MetricsProblem.UNREACHABLE


async def test_it_does_not_answer_in_time() -> None:
    async def hang(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    problem = await failing(hang, within=0.2)
    assert problem.problem is MetricsProblem.UNREACHABLE
    assert "no answer in 0.2 s" in problem.detail


async def test_an_answer_that_trickles_ends_too() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    problem = await failing(trickle, within=0.2)
    assert problem.problem is MetricsProblem.UNREACHABLE


async def test_nothing_is_tried_twice() -> None:
    asked = 0

    async def down(_request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=503, text="down")

    problem = await failing(down)
    assert problem.problem is MetricsProblem.ERROR
    assert "503" in problem.detail
    assert asked == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_it_refuses_the_operator(status: int) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    problem = await failing(refuse)
    assert problem.problem is MetricsProblem.UNAUTHORIZED
    assert "--prometheus-token-file" in problem.detail


@pytest.mark.parametrize(
    "body",
    [
        "<html>It works!</html>",
        "{}",
        "[]",
        "null",
        '{"data": {"result": [{"metric": {}, "value": [0, "seven"]}]}}',
        '{"data": {"result": [{"metric": {}, "values": [[0, "7"]]}]}}',
        '{"data": {"result": [7]}}',
        '{"data": {"result": 7}}',
    ],
)
async def test_another_server_answers(body: str) -> None:
    async def greet(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    problem = await failing(greet)
    assert problem.problem is MetricsProblem.ERROR
    assert "check --prometheus-url" in problem.detail


async def test_a_wrong_path() -> None:
    async def unknown(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=404, text="page not found")

    problem = await failing(unknown)
    assert "check --prometheus-url" in problem.detail


async def test_a_login_page() -> None:
    async def redirect(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "https://login.example.org/"})

    problem = await failing(redirect)
    assert "redirects to https://login.example.org/" in problem.detail


@pytest.mark.parametrize("packed", [False, True])
async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> None:
    monkeypatch.setattr(module, "ANSWER_LIMIT", 1_000_000)
    text = b" " * 2_000_000

    async def flood(_request: web.Request) -> web.StreamResponse:
        if packed:
            return web.Response(body=gzip.compress(text), headers={"Content-Encoding": "gzip"})
        return web.Response(body=text)

    problem = await failing(flood)
    assert problem.problem is MetricsProblem.ERROR
    assert "more than 1000000 octets" in problem.detail


async def test_warnings_are_passed_on() -> None:
    async def warn(_request: web.Request) -> web.StreamResponse:
        return answer(({"pod": "a-0"}, "1"), warnings=["store eu-1 did not answer"])

    async with server(warn) as url, asking(url) as client:
        found = await client.query("up", ("pod",))
        assert found.warnings == ("store eu-1 did not answer",)
        assert found.values == {("a-0",): 1}


async def test_what_is_said_of_a_query_is_no_warning() -> None:
    said = ["PromQL info: metric might not be a counter", "store eu-1 did not answer"]

    async def inform(_request: web.Request) -> web.StreamResponse:
        return answer(warnings=said)

    async with server(inform) as url, asking(url) as client:
        assert (await client.query("up", ("pod",))).warnings == ("store eu-1 did not answer",)


async def test_warnings_belong_to_one_answer_only() -> None:
    answers = iter([answer(warnings=["partial"]), answer()])

    async def warn_once(_request: web.Request) -> web.StreamResponse:
        return next(answers)

    async with server(warn_once) as url, asking(url) as client:
        assert (await client.query("up", ("pod",))).warnings == ("partial",)
        assert (await client.query("up", ("pod",))).warnings == ()


async def test_a_token_is_read_anew_and_netrc_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return answer()

    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    token = tmp_path / "token"
    async with server(note) as url, asking(url, token_file=token) as client:
        token.write_text("first\n")
        await client.query("up", ("pod",))
        token.write_text("second\n")
        await client.query("up", ("pod",))
        token.unlink()
        with pytest.raises(PrometheusError, match="cannot be read") as caught:
            await client.query("up", ("pod",))
    assert caught.value.problem is MetricsProblem.UNAUTHORIZED
    assert seen == ["Bearer first", "Bearer second"]


async def test_the_query_arrives_whole() -> None:
    seen: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        seen.append(str(form.get("query") or request.query["query"]))
        return answer()

    query = 'sum by (pod) (rate(x{namespace=~"a|b"}[5m]))'
    async with server(note) as url, asking(url + "/prometheus/") as client:
        await client.query(query, ("pod",))
    assert seen == [query]


START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=10)


@pytest.mark.peer
async def test_a_range_of_a_real_prometheus(tmp_path: Path) -> None:
    with prometheus(tmp_path) as real:
        text = 'participants{namespace="calls",pod="a-0"} 7\nodd{namespace="calls"} NaN\n'
        await asyncio.to_thread(real.exporter.show, "test", text)
        async with asking(real.url) as client:
            # whole seconds go over the wire: the next one has the sample for sure
            now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
            ask = partial(client.query_range, start=now - 6 * STEP, end=now, step=STEP)
            (series,) = (await ask('participants{namespace="calls"}')).series
            assert series.labels["pod"] == "a-0"
            ((time, value),) = series.points
            assert value == 7.0
            assert time == now.timestamp()
            (odd,) = (await ask("odd")).series
            assert odd.points == ()
            with pytest.raises(PrometheusError, match="parse error"):
                await ask("sum by (")


async def test_a_range_has_its_warnings_and_bounds_in_the_query() -> None:
    asked: dict[str, str] = {}

    async def one(request: web.Request) -> web.Response:
        asked.update(request.query)
        row = {"metric": {"pod": "a"}, "values": [[0, "1"], [600, "NaN"], [1200, "2"]]}
        body = {"status": "success", "data": {"resultType": "matrix", "result": [row]}}
        return web.json_response(body | {"warnings": ["partial"]})

    async with server(one) as url, asking(url) as client:
        found = await client.query_range("up", start=START, end=START + 2 * STEP, step=STEP)
    assert found.warnings == ("partial",)
    assert found.series[0].points == ((0.0, 1.0), (1200.0, 2.0))
    start = int(START.timestamp())
    assert asked == {"query": "up", "start": str(start), "end": str(start + 1200), "step": "600"}


async def test_a_range_that_no_server_would_answer_is_not_asked_for() -> None:
    async with asking("http://127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="11001 points"):
            await client.query_range("up", start=START, end=START + 11_000 * STEP, step=STEP)
        with pytest.raises(ValueError, match="0 points"):
            await client.query_range("up", start=START, end=START - STEP, step=STEP)


@pytest.mark.parametrize("result", ["[1]", '[{"metric": {}}]', '[{"metric": {}, "values": [1]}]'])
async def test_a_range_in_another_form_is_no_prometheus(result: str) -> None:
    async def odd(_request: web.Request) -> web.Response:
        text = f'{{"status": "success", "data": {{"result": {result}}}}}'
        return web.Response(text=text, content_type="application/json")

    async with server(odd) as url, asking(url) as client:
        with pytest.raises(PrometheusError, match="check --prometheus-url"):
            await client.query_range("up", start=START, end=START, step=STEP)

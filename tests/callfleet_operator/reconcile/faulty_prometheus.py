"""The real Prometheus behind something that goes wrong when it is told to: an HTTP proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

LOAD = ("participants", "calls", "allocations")
Answer = dict[str, Any]
Fault = Callable[[str, Answer], Awaitable[web.Response | Answer]]
"""Takes the text of a query and the true answer to it, gives another one."""


@dataclass
class FaultyPrometheus:
    url: str
    """Of the real one."""
    session: aiohttp.ClientSession
    fault: Fault | None = None
    met: int = 0
    """Queries since the fault began."""
    known: dict[str, Answer] = field(default_factory=dict)
    """The last true answer to each query. It is what a fault distorts: on a busy machine the next
    scrape may fail, and then nothing would be left to distort."""

    def begin(self, fault: Fault) -> None:
        self.fault, self.met = fault, 0

    def mend(self) -> None:
        self.fault = None

    def nobody_is_left(self) -> None:
        """Everybody has hung up, and scrapes go on under the fault."""
        for query, answer in self.known.items():
            if any(f"_{metric}{{" in _sampled(query) for metric in LOAD):
                rows = [_with_value(row, "0") for row in _rows(answer)]
                self.known[query] = _with_rows(answer, rows)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        (query,) = parse_qs(body.decode())["query"] if body else (request.query["query"],)
        if self.fault is not None:
            self.met += 1
            given = await self.fault(query, self.known[query])
            return given if isinstance(given, web.Response) else web.json_response(given)
        async with self.session.request(
            request.method,
            self.url + request.path_qs,
            data=body,
            headers={"Content-Type": request.headers.get("Content-Type", "")},
        ) as real:
            self.known[query] = json.loads(await real.read())
            return web.json_response(self.known[query], status=real.status)


@asynccontextmanager
async def faulty_prometheus(url: str) -> AsyncIterator[tuple[FaultyPrometheus, str]]:
    """One before the Prometheus at `url`, and its own address."""
    async with aiohttp.ClientSession() as session:
        made = FaultyPrometheus(url, session)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", made.serve)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def nothing(_query: str, answer: Answer) -> Answer:
    """Prometheus is up and has scraped nobody."""
    return _with_rows(answer, [])


async def not_a_number(_query: str, answer: Answer) -> Answer:
    return _with_rows(answer, [_with_value(row, "NaN") for row in _rows(answer)])


async def no_participants(query: str, answer: Answer) -> Answer:
    """As `not_a_number`, of one metric only."""
    return await not_a_number(query, answer) if "_participants{" in _sampled(query) else answer


async def behind(query: str, answer: Answer) -> Answer:
    """What it has was scraped ten minutes ago: its scrapes, or a remote write, lag."""
    if "timestamp(" not in query:
        return answer
    older = [_with_value(row, str(float(row["value"][1]) + 600)) for row in _rows(answer)]
    return _with_rows(answer, older)


def without(pod: str) -> Fault:
    """It does not scrape one pod."""

    async def fault(_query: str, answer: Answer) -> Answer:
        return _with_rows(answer, [row for row in _rows(answer) if row["metric"].get("pod") != pod])

    return fault


async def slow(_query: str, _answer: Answer) -> Answer:
    """Nothing comes until the operator gives up."""
    await asyncio.Event().wait()
    raise AssertionError


async def refusing(_query: str, _answer: Answer) -> web.Response:
    return web.Response(status=401, text="Unauthorized")


async def overloaded(_query: str, _answer: Answer) -> web.Response:
    said = {"status": "error", "errorType": "timeout", "error": "query timed out"}
    return web.json_response(said, status=503)


async def warning(_query: str, answer: Answer) -> Answer:
    """One of the stores behind it is away: the answer is what the others have."""
    return answer | {"warnings": ["store eu-1 did not answer"]}


def _sampled(query: str) -> str:
    """The query, unless it asks for the time of a sample."""
    return "" if "timestamp(" in query else query


def _rows(answer: Answer) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = answer["data"]["result"]
    return rows


def _with_rows(answer: Answer, rows: list[dict[str, Any]]) -> Answer:
    return answer | {"data": answer["data"] | {"result": rows}}


def _with_value(row: dict[str, Any], value: str) -> dict[str, Any]:
    return row | {"value": [row["value"][0], value]}

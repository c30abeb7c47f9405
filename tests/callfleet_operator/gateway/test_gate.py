"""The gate, on real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from callfleet_operator.gateway.errors import NotLeadingError
from callfleet_operator.gateway.gate import guarded
from tests.waiting import until


class Server:
    """Takes note of what arrives."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.url = ""
        self.answering = asyncio.Event()
        self.answering.set()

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.arrived.append(request.method)
        await self.answering.wait()
        return web.Response()


class Leading:
    """What the gate asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.over = False

    def check(self) -> None:
        self.asked += 1
        if self.over:
            raise NotLeadingError("change refused", 0, "the Lease is over")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


@pytest.fixture
def leading() -> Leading:
    return Leading()


@pytest.fixture
async def session(leading: Leading) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(
        connector=connector, trace_configs=[guarded(leading.check)]
    ) as made:
        yield made


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("connected", [False, True])
async def test_changes_are_refused(
    session: aiohttp.ClientSession, server: Server, leading: Leading, method: str, connected: bool
) -> None:
    if connected:
        async with session.get(server.url) as response:
            await response.read()
    leading.over = True
    with pytest.raises(NotLeadingError):
        await session.request(method, server.url, json={})
    assert server.arrived == ["GET"] * connected


async def test_reads_are_not(
    session: aiohttp.ClientSession, server: Server, leading: Leading
) -> None:
    leading.over = True
    for _ in range(2):
        async with session.get(server.url) as response:
            assert response.status == 200
    assert leading.asked == 0


async def test_it_looks_after_the_wait_for_a_connection(
    session: aiohttp.ClientSession, server: Server, leading: Leading
) -> None:
    """The only connection is taken; while the write waits for it the Lease runs out."""
    server.answering.clear()
    read = asyncio.create_task(session.get(server.url))
    await until(lambda: server.arrived == ["GET"])
    write = asyncio.create_task(session.post(server.url, json={}))
    await asyncio.sleep(0)
    leading.over = True
    server.answering.set()
    (await read).release()
    with pytest.raises(NotLeadingError):
        await write
    assert server.arrived == ["GET"]
    assert leading.asked == 1


async def test_a_refused_write_does_not_take_a_connection_for_ever(
    session: aiohttp.ClientSession, server: Server, leading: Leading
) -> None:
    leading.over = True
    for _ in range(3):
        with pytest.raises(NotLeadingError):
            await session.post(server.url, json={})
    async with session.get(server.url) as response:
        assert response.status == 200

"""One engine and a way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Client, running, settings

Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """Open to everybody, for four participants."""
    async with running(settings(tmp_path, capacity=4)) as [one]:
        yield one


@pytest.fixture
async def connect(http: aiohttp.ClientSession) -> AsyncIterator[Connect]:
    """Clients, closed afterwards."""
    clients: list[Client] = []

    async def to(engine: Engine, **headers: str) -> Client:
        client = await Client.connect(http, engine, **headers)
        clients.append(client)
        return client

    yield to
    for client in clients:
        await client.close()

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import aioice.ice
import pytest

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import running, settings
from tests.callfleet_engine.keys import join_keys
from tests.callfleet_engine.whip.clients import HttpClient, WhipClient

Connect = Callable[..., WhipClient]


@pytest.fixture(autouse=True)
def loopback_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc's clients leave 127.0.0.1 out; a machine may have no other address."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return join_keys(tmp_path)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """Open to everybody, for four participants."""
    async with running(settings(tmp_path, capacity=4)) as [one]:
        yield one


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def connect(http: aiohttp.ClientSession) -> AsyncIterator[Connect]:
    """Clients, closed afterwards."""
    made: list[WhipClient] = []

    def to(engine: Engine, protocol: str, *, token: str = "", room: str = "room") -> WhipClient:
        client = WhipClient(HttpClient(http, engine, token), protocol, room)
        made.append(client)
        return client

    yield to
    for client in made:
        await client.close()

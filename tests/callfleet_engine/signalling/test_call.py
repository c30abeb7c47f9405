"""Calls over the real WebSocket, with the real media plane and store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Caller, Client, running, settings


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with running(settings(tmp_path)) as [one]:
        yield one


async def test_two_participants_hear_each_other(
    engine: Engine, http: aiohttp.ClientSession
) -> None:
    ada = Caller(await Client.connect(http, engine))
    bob = Caller(await Client.connect(http, engine))
    try:
        await ada.join(name="Ada")
        joined = await bob.join(name="Bob")
        assert [one["name"] for one in joined["participants"]] == ["Ada"]
        await ada.publish()
        await bob.publish()
        await ada.hears()
        await bob.hears()
    finally:
        await ada.close()
        await bob.close()

"""Participants of the load tool in a call that changes pods."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from callfleet_engine.load.events import EventLog
from callfleet_engine.load.media import encode_audio, encode_video
from callfleet_engine.load.participant import Client
from callfleet_engine.load.scenario import Phase, Scenario
from callfleet_engine.load.world import World
from tests.callfleet_engine.engines import running, settings, until
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
)
from tests.callfleet_engine.signalling.pods import START_SECONDS, know_each_other, pod

pytestmark = pytest.mark.peer

SECRET = "s" * 32
PHASE = Phase(name="steady", calls=1, participants_per_call=3)


async def hear_each_other(world: World) -> None:
    def reached() -> bool:
        world.adjust(PHASE)
        return world.reached(PHASE)

    await until(reached, "they hear each other")


async def test_a_call_that_moves_disconnects_nobody(
    tmp_path: Path,
    postgresql_server: PrivatePostgresql,  # noqa: F811 - the fixture
) -> None:
    database = postgresql_server.new_database()
    loops = (encode_audio(), encode_video(Scenario(phases=(PHASE,)).video))
    events = EventLog(None)
    async with (
        running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b],
        aiohttp.ClientSession() as http,
    ):
        await know_each_other(a, b)
        client = Client(http, f"http://{a.listening.listen}", lambda *_: None, events, loops)
        world = World(client, "load", joins_per_second=10)
        try:
            await hear_each_other(world)
            [pod_before] = {room.pod for room in world.rooms}
            before, after = (a, b) if pod_before == "pod-a" else (b, a)
            before.parts.drain.begin("d1")
            body = {"podUid": before.parts.me.uid, "drainId": "d1", "batchMilliseconds": 100}
            async with http.post(
                f"http://{before.listening.admin}/admin/v1/reconnect", json=body
            ) as response:
                assert response.status == 200
            await until(lambda: after.parts.admission.participants == 3, "all have come")
            await hear_each_other(world)
            await until(lambda: len(world.move_gaps()) == 3, "gaps")
            assert before.parts.admission.occupancy.calls == 0
            assert {room.pod for room in world.rooms} == {after.settings.pod_name}
            assert events.counts["moved"] == 3
            assert events.counts["disconnected"] == 0
            assert all(0 < gap < 20 for gap in world.move_gaps())
        finally:
            await world.everybody_leaves()
        packets, missing = world.packets()
        assert packets > 0
        assert missing == 0


class Relay:
    """A relay in a process of its own."""

    def __init__(self, name: str, listening: dict[str, Any], http: aiohttp.ClientSession) -> None:
        self.name = name
        [listen] = listening["listen"]
        self.url = f"turn:{listen.removeprefix('udp://')}?transport=udp"
        self.entry: dict[str, object] = {"pod": name, "urls": [self.url]}
        self._admin = f"http://{listening['admin']}/admin/v1"
        self._http = http

    async def allocations(self) -> int:
        async with self._http.get(f"{self._admin}/status") as response:
            number: int = (await response.json())["allocations"]
            return number

    async def ask(self, call: str) -> int:
        body = {"podUid": self.name, "drainId": "d1"}
        async with self._http.post(f"{self._admin}/{call}", json=body) as response:
            return response.status


@asynccontextmanager
async def relay(name: str, directory: Path, http: aiohttp.ClientSession) -> AsyncIterator[Relay]:
    secret = directory / "secret"
    secret.write_text(SECRET)
    flags = {
        "listen": "udp://127.0.0.1:0",
        "relay-address": "127.0.0.1",
        "allow-peer": "127.0.0.1/32",
        "secret-file": str(secret),
        "metrics": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "pod-uid": name,
    }
    words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "callfleet_relay", *words, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        yield Relay(name, json.loads(line), http)
    finally:
        process.kill()
        await process.wait()


async def test_clients_leave_a_relay_and_nobody_is_disconnected(tmp_path: Path) -> None:
    loops = (encode_audio(), encode_video(Scenario(phases=(PHASE,)).video))
    events = EventLog(None)
    async with (
        aiohttp.ClientSession() as http,
        relay("old", tmp_path, http) as old,
        relay("new", tmp_path, http) as new,
        running(
            settings(
                tmp_path,
                require_relay=True,
                turn=[old.url],
                turn_secret_file=tmp_path / "secret",
            )
        ) as [engine],
    ):
        admin = f"http://{engine.listening.admin}/admin/v1"

        async def tell(method: str, call: str, relays: list[dict[str, object]]) -> None:
            async with http.request(method, f"{admin}/{call}", json=relays) as response:
                assert response.status == 204, await response.text()

        await tell("PUT", "relays", [old.entry])
        client = Client(http, f"http://{engine.listening.listen}", lambda *_: None, events, loops)
        world = World(client, "load", joins_per_second=10)
        try:
            await hear_each_other(world)
            assert await old.allocations() == 6
            await old.ask("drain")
            assert await old.ask("seal") == 409
            await tell("PUT", "relays", [new.entry])
            leave: list[dict[str, object]] = [{"pod": "old"}]
            for _ in range(5):
                await tell("POST", "leave-relays", leave)
            await until(
                lambda: len(world.move_gaps()) == 3,
                lambda: f"media over the other relay: {world.move_gaps()}, {dict(events.counts)}",
            )
            await hear_each_other(world)
            assert await new.allocations() == 6
            while await old.allocations():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert await old.ask("seal") == 200
            assert events.counts["relay-changed"] == 3
            assert events.counts["disconnected"] == 0
            failures = engine.parts.metrics.expose().decode()
            assert "callfleet_engine_ice_failures_total{" not in failures
        finally:
            await world.everybody_leaves()

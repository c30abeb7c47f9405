"""Participants of the load tool in a call that changes pods."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.load.events import EventLog
from callfleet_engine.load.media import encode_audio, encode_video
from callfleet_engine.load.participant import Client
from callfleet_engine.load.scenario import Phase, Scenario
from callfleet_engine.load.world import World
from tests.callfleet_engine.engines import running, until
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
)
from tests.callfleet_engine.signalling.pods import know_each_other, pod

pytestmark = pytest.mark.peer

PHASE = Phase(name="steady", calls=1, participants_per_call=3)


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
            await until(lambda: world.adjust(PHASE) or world.reached(PHASE), "they hear each other")
            [pod_before] = {room.pod for room in world.rooms}
            before, after = (a, b) if pod_before == "pod-a" else (b, a)
            before.parts.drain.begin("d1")
            body = {"podUid": before.parts.me.uid, "drainId": "d1", "batchMilliseconds": 100}
            async with http.post(
                f"http://{before.listening.admin}/admin/v1/reconnect", json=body
            ) as response:
                assert response.status == 200
            await until(lambda: after.parts.admission.participants == 3, "all have come")
            await until(lambda: world.adjust(PHASE) or world.reached(PHASE), "they hear again")
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

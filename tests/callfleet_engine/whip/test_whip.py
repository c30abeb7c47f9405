"""WHIP and WHEP with aiortc's peer connections as clients."""

from __future__ import annotations

import re

import pytest
from aiortc import RTCIceParameters  # noqa: F401 - placeholder

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import until
from tests.callfleet_engine.whip.clients import problem
from tests.callfleet_engine.whip.conftest import Connect

pytestmark = pytest.mark.slow


async def test_what_one_publishes_the_other_plays(engine: Engine, connect: Connect) -> None:
    publisher = connect(engine, "whip").publishing()
    created = await publisher.start()
    assert re.fullmatch(r"/whip/room/[\w-]{24}", created.headers["Location"])
    assert re.fullmatch(r'"[0-9a-f]+"', created.headers["ETag"])
    assert created.headers["Content-Type"].startswith("application/sdp")
    assert created.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    player = connect(engine, "whep").playing()
    created = await player.start()
    assert created.text.count("a=sendonly") == 2
    await until(lambda: player.frames["audio"] > 20 and player.frames["video"] > 5, "media")
    assert engine.parts.whip.sessions == 2
    assert (await player.delete()).status == 200
    assert (await publisher.delete()).status == 200
    assert engine.parts.admission.occupancy.calls == 0
    assert engine.parts.whip.sessions == 0
    gone = await publisher.delete()
    assert (gone.status, problem(gone)["code"]) == (404, "unknown_session")

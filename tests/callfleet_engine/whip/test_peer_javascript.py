"""WHEP players in JavaScript that we did not write: werift and libdatachannel."""

from __future__ import annotations

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE

import pytest

from callfleet_engine.engine import Engine
from tests.callfleet_engine.whip.conftest import Connect
from tests.cluster import javascript

pytestmark = pytest.mark.peer

PLAY_SECONDS = 60.0


@pytest.mark.parametrize("client", ["werift", "node-datachannel"])
async def test_they_play_what_is_published(engine: Engine, connect: Connect, client: str) -> None:
    node = shutil.which("node")
    assert node, "node is missing: run `python -m tests.cluster prepare --for peers`"
    programs = await asyncio.to_thread(javascript.programs)
    await connect(engine, "whip").publishing().start()
    url = f"http://{engine.listening.listen}/whep/room"
    player = await asyncio.create_subprocess_exec(
        node, f"whep-{client}.mjs", url, "20", cwd=programs, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PLAY_SECONDS):
            out, err = await player.communicate()
    finally:
        if player.returncode is None:
            player.kill()
        await player.wait()
    assert player.returncode == 0, out.decode() + err.decode()
    assert json.loads(out.splitlines()[-1]) == {"enough": True, "ended": 200}
    assert engine.parts.whip.sessions == 1

"""One round: a call of five who come in every way, see other layers of one another, and go in every
way, until nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Caller, Client, running, settings, until
from tests.callfleet_engine.whip.clients import HttpClient, WhipClient
from tests.soak.camera import HEIGHTS, LayeredCamera, encode_layers
from tests.soak.leftovers import Held, held

PEOPLE = 5
_LAYERS = encode_layers()


@asynccontextmanager
async def soaked(directory: Path) -> AsyncIterator[Engine]:
    """An engine on which those without a socket do not stay."""
    # Seldom, so that a heartbeat is not under way whenever this looks.
    given = settings(directory, heartbeat_seconds=60, media_address=("127.0.0.1",))
    async with running(given) as [engine]:
        engine.parts.host.resume_grace_seconds = 0.1
        yield engine


async def play_round(engine: Engine, number: int) -> None:
    """All hear one another and leave; returns when the engine has forgotten them."""
    room = f"room-{number % 3}"
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        callers = [Caller(await Client.connect(http, engine), remb=False) for _ in range(2)]
        for caller in callers:
            stack.push_async_callback(caller.close)
        publisher = WhipClient(HttpClient(http, engine), "whip", room).publishing()
        player = WhipClient(HttpClient(http, engine), "whep", room).playing()
        stack.push_async_callback(publisher.close)
        stack.push_async_callback(player.close)
        camera = LayeredCamera(await Client.connect(http, engine), _LAYERS)
        stack.push_async_callback(camera.close)
        for caller in callers:
            await caller.join(room)
            await caller.publish()
        await camera.join(room)
        await camera.publish()
        await publisher.start()
        await player.start()
        for caller in callers:
            await caller.hears()
        await until(
            lambda: player.frames["audio"] > 3,
            lambda: f"sound by WHEP, {player.pc.connectionState}: {streams(engine)}",
        )
        await see_layers(callers[number % 2], camera, number)
        for caller, way in zip(callers, (number, number + 1), strict=True):
            match way % 3:
                case 0:
                    await caller.client.ask("leave")
                case 1:
                    await caller.client.drop()
                case 2:
                    await caller.publishing.close()
        if number % 2:
            await publisher.delete()
            await player.pc.close()
        else:
            await publisher.pc.close()
            await player.delete()
    await until(lambda: forgotten(engine), "the engine has forgotten everybody")


async def see_layers(caller: Caller, camera: LayeredCamera, number: int) -> None:
    """Ask for each layer of the camera in turn, and see a picture of it."""
    for turn in range(len(HEIGHTS)):
        layer = (number + turn) % len(HEIGHTS)
        await caller.client.send(type="layer", participant=camera.participant, most=layer)
        await until(
            partial(_sees, caller, HEIGHTS[layer]),
            partial("layer {}; heights of pictures are {}".format, layer, caller.heights),
        )


def _sees(caller: Caller, height: int) -> bool:
    return height in caller.heights.values()


def streams(engine: Engine) -> list[object]:
    return [participant.statistics() for call in engine.parts.host.calls for participant in call]


def forgotten(engine: Engine) -> bool:
    parts = engine.parts
    return not (
        parts.host.calls
        or parts.host.graces
        or parts.host._background._tasks
        or parts.whip.sessions
        or parts.admission.participants
        or parts.plane.media_port.connections
        or parts.journal.backlog
    )


async def at_rest(before: Held) -> Held:
    """What is held once all that ends a moment later has ended, or has had its time."""
    now = held()

    def settled() -> bool:
        nonlocal now
        now = held()
        return not now.more_than(before)

    try:
        await until(settled, "rest")
    except AssertionError:
        return now
    return now


async def soak(
    engine: Engine,
    go_on: Callable[[int], bool],
    tell: Callable[[int, Held], None],
    *,
    pause_seconds: float = 0.0,
    tell_late: Callable[[AssertionError], None] | None = None,
) -> dict[str, int]:
    """Rounds as long as `go_on` of their number says, with a pause after each; what was left over
    by the first that left anything. The round before the first warms up: what it leaves is what
    Python keeps for reuse. A round that did not come to its end in time is told to `tell_late`,
    without which it raises; nothing may be left of it either."""

    async def play(number: int) -> None:
        try:
            await play_round(engine, number)
        except AssertionError as late:
            if tell_late is None:
                raise
            tell_late(late)
            await until(lambda: forgotten(engine), "the engine has forgotten everybody")

    await play(0)
    await play(1)
    before = held()
    number = 1
    while go_on(number):
        await play(number)
        now = await at_rest(before)
        tell(number, now)
        if left := now.more_than(before):
            return left
        number += 1
        await asyncio.sleep(pause_seconds)
    return {}

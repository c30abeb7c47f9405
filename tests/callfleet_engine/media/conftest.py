from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aioice.ice
import pytest

from callfleet_engine.media.native.plane import NativePlane
from callfleet_engine.media.plane import AiortcCall, AiortcPlane, MediaSettings
from tests.callfleet_engine.media.peers import Peer


@pytest.fixture(autouse=True)
def loopback_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc's clients leave 127.0.0.1 out; a machine may have no other address."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture(params=[AiortcPlane, NativePlane], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[AiortcPlane]:
    """Each of the two planes, which are to behave alike."""
    found: type[AiortcPlane] = request.param
    return found


@pytest.fixture
async def plane(kind: type[AiortcPlane]) -> AsyncIterator[AiortcPlane]:
    plane = kind(MediaSettings(addresses=("127.0.0.1",)))
    await plane.start()
    yield plane
    await plane.close()


@pytest.fixture
def call(plane: AiortcPlane) -> AiortcCall:
    return plane.open_call("call")


@pytest.fixture
async def peers(call: AiortcCall) -> AsyncIterator[Callable[..., Peer]]:
    """Makes participants of the call and ends them."""
    made: list[Peer] = []

    def make(name: str, **permissions: bool) -> Peer:
        peer = Peer(name).join(call, **permissions)
        made.append(peer)
        return peer

    yield make
    for peer in made:
        peer.auto_answer = False
    for peer in made:
        await peer.close()

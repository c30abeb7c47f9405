"""Chromium behind translators: its address changes, it restarts ICE, the call goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from callfleet_engine.engine import Engine
from callfleet_engine.media.ice_lite import LiteConnection
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.media.peers import until
from tests.callfleet_engine.media.translator import Translator
from tests.callfleet_engine.web.tabs import ADVANCES, PLAYS, join, link

pytestmark = pytest.mark.peer

PUBLISH, SUBSCRIBE = 0, 1

THROUGH = """
(() => {
  const ports = %s;
  const Original = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      window.connections.push(this);
    }
    setRemoteDescription({ type, sdp }) {
      const port = ports[window.connections.indexOf(this)];
      const seen = sdp.replace(/(a=candidate:\\S+ 1 udp \\d+ \\S+) \\d+/g, `$1 ${port}`);
      return super.setRemoteDescription({ type, sdp: seen });
    }
  };
})();
"""


@pytest.fixture
async def translators(engine: Engine) -> AsyncIterator[list[Translator]]:
    server = ("127.0.0.1", engine.parts.plane.port)
    made = [Translator(server) for _ in range(2)]
    yield made
    for translator in made:
        translator.close()


class Moving:
    """Bob's tab, through the translators, in a call with Alice."""

    def __init__(self, engine: Engine, translators: list[Translator]) -> None:
        self._engine = engine
        self._translators = translators
        self.problems: list[str] = []
        self.alice: Page
        self.bob: Page

    async def join(self, browser: Browser, keys: Path) -> None:
        url = link(self._engine, join_token(keys))
        through = THROUGH % json.dumps([t.address[1] for t in self._translators])
        self.alice, self.alice_id = await join(browser, url, "Alice", self.problems)
        self.bob, self.bob_id = await join(browser, url, "Bob", self.problems, through)
        await self.alice.wait_for_function(PLAYS, arg=self.bob_id)
        await self.bob.wait_for_function(PLAYS, arg=self.alice_id)

    def connection(self, which: int) -> LiteConnection:
        """The engine's end of one of Bob's connections."""
        [call] = self._engine.parts.plane._calls.values()
        session = call.sessions[self.bob_id]
        assert session._publish_link is not None
        assert session._subscribing is not None
        return (session._publish_link, session._subscribing.link)[which].connection

    def at(self, which: int) -> bool:
        """Whether the engine sends to where Bob is now."""
        return self.connection(which).remote_address in self._translators[which].outside

    async def goes_on(self) -> None:
        assert await self.alice.evaluate(ADVANCES, self.bob_id) > 0
        assert await self.bob.evaluate(ADVANCES, self.alice_id) > 0
        assert self.bob_id in next(iter(self._engine.parts.plane._calls.values())).sessions
        assert not self.problems


@pytest.fixture
async def moving(
    browser: Browser, engine: Engine, keys: Path, translators: list[Translator]
) -> Moving:
    made = Moving(engine, translators)
    await made.join(browser, keys)
    assert made.at(PUBLISH)
    assert made.at(SUBSCRIBE)
    return made


async def test_a_change_of_address_is_followed(
    moving: Moving, translators: list[Translator]
) -> None:
    before = {which: moving.connection(which).remote_address for which in (PUBLISH, SUBSCRIBE)}
    for translator in translators:
        translator.rebind()
    await until(lambda: moving.at(PUBLISH) and moving.at(SUBSCRIBE), "the engine has followed")
    assert all(moving.connection(which).remote_address != before[which] for which in before)
    await moving.goes_on()


@pytest.mark.parametrize("which", [PUBLISH, SUBSCRIBE])
async def test_the_page_restarts_ice_when_it_has_lost_its_way(
    moving: Moving, translators: list[Translator], which: int
) -> None:
    """Chromium finds out by itself that its sockets are of no use any more.

    It pairs its new ones with the engine's old credentials if the answer with the new ones comes a
    little later, and may stay with that pair: the old ones must serve.
    """
    connection = moving.connection(which)
    before = connection.local_username
    translators[which].cut()
    await until(lambda: moving.at(which), "the engine sends to one of the new sockets")
    assert connection.local_username != before
    await moving.goes_on()

"""Chromium as WHIP and WHEP client: what one tab shows the camera the other tab shows too."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from callfleet_engine.tokens import Permission
from tests.callfleet_engine.engines import running, settings, until
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.web.conftest import browser, chromium  # noqa: F401 - fixtures
from tests.callfleet_engine.web.tabs import until_true

pytestmark = pytest.mark.peer

CLIENT = (Path(__file__).parent / "client.js").read_text()


async def tab(browser: Browser, url: str) -> Page:  # noqa: F811 - the fixture
    page = await browser.new_page()
    await page.add_init_script(CLIENT)
    await page.goto(url)
    return page


async def test_a_tab_publishes_and_another_plays(
    browser: Browser,  # noqa: F811 - the fixture
    tmp_path: Path,
    keys: Path,
) -> None:
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        url = f"http://localhost:{engine.listening.listen.port}/"
        publisher, player = await tab(browser, url), await tab(browser, url)
        publish = frozenset({Permission.PUBLISH, Permission.START})
        await publisher.evaluate("(token) => publish(token)", join_token(keys, can=publish))
        listen = frozenset({Permission.SUBSCRIBE})
        token = join_token(keys, identity="bob", can=listen)
        await player.evaluate("(token) => play(token)", token)
        await until_true(player, "moves()")
        await until_true(player, "heard()")
        for page in (publisher, player):
            await page.wait_for_function("() => client.trickled.length > 0")
            await page.evaluate("client.restart()")
            await page.wait_for_function("() => client.pc.iceConnectionState === 'connected'")
            await until_true(player, "moves()")
            assert set(await page.evaluate("client.trickled")) == {204}
        [call] = engine.parts.host.calls
        assert {s.mime_type for p in call for s in p.statistics().published} == {
            "audio/opus",
            "video/VP8",
        }
        assert await publisher.evaluate("client.end()") == 200
        assert await player.evaluate("client.end()") == 200
        await until(lambda: not engine.parts.host.calls, "the call has ended")

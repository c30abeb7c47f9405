"""The call page in Chromium while the pod of its call is emptied, or dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import running, until
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
)
from tests.callfleet_engine.signalling.pods import know_each_other, knows, pod, process
from tests.callfleet_engine.web.tabs import ADVANCES, PLAYS, join, link

pytestmark = pytest.mark.peer

PLAYS_ANEW = """
([participant, stream]) => {
  const video = document.querySelector(`[data-participant="${participant}"] video`);
  return video !== null && video.videoWidth > 0 && video.currentTime > 0.5
    && video.srcObject.id !== stream && video.srcObject.getAudioTracks().length === 1;
}
"""
STREAM = """
(participant) =>
  document.querySelector(`[data-participant="${participant}"] video`).srcObject.id
"""


@pytest.fixture
async def engines(
    tmp_path: Path,
    keys: Path,
    postgresql_server: PrivatePostgresql,  # noqa: F811 - the fixture
) -> AsyncIterator[list[Engine]]:
    """The third takes no calls: it is the way in, as a Service is."""
    database = postgresql_server.new_database()
    given = [pod(tmp_path, database, uid, keys_file=keys) for uid in "abc"]
    async with running(*given) as engines:
        engines[2].parts.drain.begin("the way in")
        await know_each_other(*engines)
        yield engines


async def test_two_tabs_go_on_on_another_pod(
    browser: Browser, engines: list[Engine], keys: Path
) -> None:
    a, b, entry = engines
    problems: list[str] = []
    url = link(entry, join_token(keys))
    alice, alice_id = await join(browser, url, "Alice", problems)
    bob, bob_id = await join(browser, url, "Bob", problems)
    tabs = ((alice, bob_id), (bob, alice_id))
    for page, other in tabs:
        await page.wait_for_function(PLAYS, arg=other)
    former = {other: await page.evaluate(STREAM, other) for page, other in tabs}
    await alice.get_by_role("button", name="Mute").click()
    assert a.parts.admission.participants == 2
    [call] = a.parts.host.calls

    a.parts.drain.begin("d1")
    await say(a, "reconnect")
    await until(lambda: b.parts.admission.participants == 2, "both have come")
    await say(a, "seal")

    for page, other in tabs:
        await page.wait_for_function(PLAYS_ANEW, arg=[other, former[other]])
        assert await page.evaluate(ADVANCES, other) > 0
        await expect(page.get_by_role("status")).to_have_text("Connected")
    assert [hosted.id for hosted in b.parts.host.calls] == [call.id]
    assert await alice.locator(".own").get_attribute("data-participant") == alice_id
    assert await bob.locator(".own").get_attribute("data-participant") == bob_id
    caption = bob.locator(f'[data-participant="{alice_id}"] .caption')
    await expect(caption).to_contain_text("muted")
    assert not problems


async def test_two_tabs_go_on_when_their_pod_dies(
    browser: Browser,
    tmp_path: Path,
    postgresql_server: PrivatePostgresql,  # noqa: F811 - the fixture
) -> None:
    database = postgresql_server.new_database()
    async with (
        running(pod(tmp_path, database, "b")) as [b],
        process(tmp_path, database, "a") as (owner, _),
    ):
        await knows(b, 1)
        alice, alice_id = await join(browser, link(b), "Alice", [])
        bob, bob_id = await join(browser, link(b), "Bob", [])
        tabs = ((alice, bob_id), (bob, alice_id))
        for page, other in tabs:
            await page.wait_for_function(PLAYS, arg=other)
        former = {other: await page.evaluate(STREAM, other) for page, other in tabs}
        assert b.parts.admission.participants == 0
        owner.kill()
        await owner.wait()
        for page, other in tabs:
            await page.wait_for_function(PLAYS_ANEW, arg=[other, former[other]])
            await expect(page.get_by_role("status")).to_have_text("Connected")
        assert b.parts.admission.participants == 2


async def say(engine: Engine, call: str) -> None:
    url = f"http://{engine.listening.admin}/admin/v1/{call}"
    body = {"podUid": engine.parts.me.uid, "drainId": "d1"}
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        assert response.status == 200, await response.text()

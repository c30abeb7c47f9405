"""The call page in Chromium, with an engine behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from callfleet_engine.engine import Engine
from callfleet_engine.tokens import Permission
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.web.tabs import ADVANCES, CONNECTIONS, PLAYS, join, link, open_tab

pytestmark = pytest.mark.peer

HEIGHT = """
(participant) => document.querySelector(`[data-participant="${participant}"] video`).videoHeight
"""
SENDS = """
() => window.connections.flatMap((pc) => pc.getSenders()).filter(({ track }) => track !== null)
  .map((sender) => {
    const { encodings } = sender.getParameters();
    return [
      sender.track.kind,
      sender.track.getSettings().height ?? null,
      encodings.map(({ maxBitrate }) => maxBitrate),
      encodings.map(({ maxFramerate }) => maxFramerate ?? null),
    ];
  })
"""
"""Kind, height, and the bounds of the layers of each track."""


async def test_two_tabs_see_and_hear_each_other(
    browser: Browser, engine: Engine, keys: Path, tmp_path: Path
) -> None:
    problems: list[str] = []
    url = link(engine, join_token(keys))
    alice, alice_id = await join(browser, url, "Alice", problems)
    bob, bob_id = await join(browser, url, "Bob", problems)

    for page, other in ((alice, bob_id), (bob, alice_id)):
        await page.wait_for_function(PLAYS, arg=other)
        assert await page.evaluate(ADVANCES, other) > 0
        await expect(page.get_by_role("status")).to_have_text("Connected")
    pictures = Path(os.environ.get("CALLFLEET_SCREENSHOTS", tmp_path))
    await bob.screenshot(path=pictures / "call.png")

    caption = bob.locator(f'[data-participant="{alice_id}"] .caption')
    await expect(caption).to_have_text("Alice ")
    await alice.get_by_role("button", name="Mute").click()
    await expect(caption).to_contain_text("muted")
    await alice.get_by_role("button", name="Camera off").click()
    await expect(caption).to_contain_text("camera off")
    await alice.get_by_role("button", name="Camera on").click()
    await expect(caption).not_to_contain_text("camera")
    assert await bob.evaluate(ADVANCES, alice_id) > 0

    await alice.get_by_role("button", name="Leave").click()
    await expect(alice.get_by_role("button", name="Join")).to_be_visible()
    await expect(bob.locator(f'[data-participant="{alice_id}"]')).to_have_count(0)
    await expect(alice.get_by_label("Quality")).to_have_value("standard")
    carol, carol_id = await join(browser, url, "Carol", problems, CONNECTIONS, preset="low")
    await bob.wait_for_function(PLAYS, arg=carol_id)
    await carol.wait_for_function(PLAYS, arg=bob_id)
    assert await bob.evaluate(HEIGHT, carol_id) <= 360
    assert sorted(await carol.evaluate(SENDS)) == [
        ["audio", None, [32_000], [None]],
        ["video", 360, [150_000], [15]],
    ]
    assert not problems


async def test_a_broken_socket_is_resumed_while_media_flows(
    browser: Browser, engine: Engine, keys: Path
) -> None:
    url = link(engine, join_token(keys))
    alice, alice_id = await join(browser, url, "Alice", [])
    bob, bob_id = await join(browser, url, "Bob", [])
    await alice.wait_for_function(PLAYS, arg=bob_id)
    for _, participant in engine.parts.host._by_resume.values():
        if participant.id == alice_id:
            assert participant._outbox is not None
            participant._outbox.close("reconnect")
    state = alice.get_by_role("status")
    await expect(state).to_have_text("Reconnecting …")
    await expect(state).to_have_text("Connected", timeout=15_000)
    assert await alice.evaluate(ADVANCES, bob_id) > 0
    assert await alice.locator(".own").get_attribute("data-participant") == alice_id
    await bob.get_by_role("button", name="Mute").click()
    await expect(alice.locator(f'[data-participant="{bob_id}"] .caption')).to_contain_text("muted")


async def test_a_listener_without_permission_to_publish_hears_the_others(
    browser: Browser, engine: Engine, keys: Path
) -> None:
    problems: list[str] = []
    _, alice_id = await join(browser, link(engine, join_token(keys)), "Alice", problems)
    token = join_token(keys, identity="lena", can=frozenset({Permission.SUBSCRIBE}))
    listener, _ = await join(browser, link(engine, token), "Lena", problems)
    await listener.wait_for_function(PLAYS, arg=alice_id)
    alert = listener.get_by_role("alert")
    await expect(alert).to_contain_text("You are listening only.")
    await expect(alert).to_contain_text("join token")
    await expect(listener.get_by_role("button", name="Unmute")).to_be_disabled()
    assert not problems


async def test_a_refused_join_tells_why_and_what_to_do(
    browser: Browser, engine: Engine, keys: Path
) -> None:
    page = await open_tab(browser, link(engine, join_token(keys, seconds=-60)), [])
    await page.get_by_label("Camera").uncheck()
    await page.get_by_role("button", name="Join").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The token was good until")
    await expect(alert).to_contain_text("Ask whoever sent the link")
    await expect(page.get_by_role("button", name="Join")).to_be_enabled()


async def test_a_missing_room_is_asked_for(browser: Browser, engine: Engine) -> None:
    page = await open_tab(browser, f"http://localhost:{engine.listening.listen.port}/", [])
    await expect(page.get_by_label("Room")).to_be_focused()
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("button", name="Join")).to_be_enabled()
    assert engine.parts.admission.participants == 0

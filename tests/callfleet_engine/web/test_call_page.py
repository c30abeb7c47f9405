"""The call page in Chromium, two tabs in one call."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.callfleet_engine.web.server import Room, serve

pytestmark = pytest.mark.peer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]
PLAYS = """
(participant) => {
  const video = document.querySelector(`[data-participant="${participant}"] video`);
  return video !== null && video.videoWidth > 0 && video.currentTime > 0.5
    && video.srcObject.getAudioTracks().length === 1;
}
"""
ADVANCES = """
async (participant) => {
  const video = document.querySelector(`[data-participant="${participant}"] video`);
  const before = video.currentTime;
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  return video.currentTime - before;
}
"""


@pytest.fixture
def chromium() -> Path:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    return CHROMIUM


@pytest.fixture
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, Room]]:
    async with serve() as served:
        yield served


async def open_tab(browser: Browser, url: str, problems: list[str]) -> Page:
    page = await browser.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    await page.goto(url)
    return page


async def join(browser: Browser, url: str, name: str, problems: list[str]) -> Page:
    page = await open_tab(browser, url, problems)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("button", name="Leave")).to_be_visible()
    return page


async def test_two_tabs_see_and_hear_each_other(
    browser: Browser, server: tuple[str, Room], tmp_path: Path
) -> None:
    address, room = server
    problems: list[str] = []
    alice = await join(browser, f"{address}/r/demo", "Alice", problems)
    bob = await join(browser, f"{address}/r/demo", "Bob", problems)

    for page, other in ((alice, "p1"), (bob, "p0")):
        await page.wait_for_function(PLAYS, arg=other)
        assert await page.evaluate(ADVANCES, other) > 0
        await expect(page.get_by_role("status")).to_have_text("Connected")
    pictures = Path(os.environ.get("CALLFLEET_SCREENSHOTS", tmp_path))
    await bob.screenshot(path=pictures / "call.png")

    await alice.get_by_role("button", name="Mute").click()
    await expect(bob.locator('[data-participant="p0"] .caption')).to_contain_text("muted")
    await alice.get_by_role("button", name="Camera off").click()
    await expect(bob.locator('[data-participant="p0"] .caption')).to_contain_text("camera off")
    await alice.get_by_role("button", name="Camera on").click()
    await expect(bob.locator('[data-participant="p0"] .caption')).not_to_contain_text("camera")
    assert await bob.evaluate(ADVANCES, "p0") > 0

    await alice.get_by_role("button", name="Leave").click()
    await expect(alice.get_by_role("button", name="Join")).to_be_visible()
    await expect(bob.locator('[data-participant="p0"]')).to_have_count(0)
    carol = await join(browser, f"{address}/r/demo", "Carol", problems)
    await bob.wait_for_function(PLAYS, arg="p2")
    await carol.wait_for_function(PLAYS, arg="p1")
    assert not room.failed
    assert not problems


async def test_a_listener_without_permission_to_publish_hears_the_others(
    browser: Browser, server: tuple[str, Room]
) -> None:
    address, room = server
    problems: list[str] = []
    await join(browser, f"{address}/r/demo", "Alice", problems)
    listener = await join(browser, f"{address}/r/demo#token=listener", "Lena", [])
    await listener.wait_for_function(PLAYS, arg="p0")
    alert = listener.get_by_role("alert")
    await expect(alert).to_contain_text("You are listening only.")
    await expect(alert).to_contain_text("join token")
    await expect(listener.get_by_role("button", name="Unmute")).to_be_disabled()
    assert ("p1", "publish") not in {(who, pc) for who, pc, _ in room.connected}
    assert not problems


async def test_a_refused_join_tells_why_and_what_to_do(
    browser: Browser, server: tuple[str, Room]
) -> None:
    address, _ = server
    page = await open_tab(browser, f"{address}/r/refused", [])
    await page.get_by_label("Camera").uncheck()
    await page.get_by_role("button", name="Join").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The token has expired.")
    await expect(alert).to_contain_text("Ask for a new link.")
    await expect(page.get_by_role("button", name="Join")).to_be_enabled()


async def test_a_missing_room_is_asked_for(browser: Browser, server: tuple[str, Room]) -> None:
    address, room = server
    page = await open_tab(browser, address, [])
    await expect(page.get_by_label("Room")).to_be_focused()
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("button", name="Join")).to_be_visible()
    assert not room.messages

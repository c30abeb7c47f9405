"""Tabs of Chromium in a call."""

from __future__ import annotations

from playwright.async_api import Browser, Page, expect

from callfleet_engine.engine import Engine
from tests.waiting import until

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

CONNECTIONS = """
window.connections = [];
const Connection = RTCPeerConnection;
window.RTCPeerConnection = class extends Connection {
  constructor(...given) {
    super(...given);
    window.connections.push(this);
  }
};
"""
"""Keeps the page's peer connections."""


LIMIT_SECONDS = 120.0


async def until_true(page: Page, script: str, arg: object = None) -> None:
    """Wait until what an async function of the page resolves to is true of JavaScript.

    Playwright's wait_for_function takes the promise itself for a success.
    """
    await until(lambda: page.evaluate(script, arg), within=LIMIT_SECONDS)


def link(engine: Engine, token: str = "", room: str = "room") -> str:
    return f"http://localhost:{engine.listening.listen.port}/r/{room}#token={token}"


async def open_tab(browser: Browser, url: str, problems: list[str], script: str = "") -> Page:
    """`script` runs in the page before its own."""
    page = await browser.new_page()
    await page.add_init_script(script)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    await page.goto(url)
    return page


async def join(
    browser: Browser,
    url: str,
    name: str,
    problems: list[str],
    script: str = "",
    *,
    preset: str = "",
) -> tuple[Page, str]:
    """A tab in the call, and the participant's id; without a `preset` none is chosen."""
    page = await open_tab(browser, url, problems, script)
    if preset:
        await page.get_by_label("Quality").select_option(preset)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("button", name="Leave")).to_be_visible(timeout=15_000)
    participant = await page.locator(".own").get_attribute("data-participant")
    assert participant is not None
    return page, participant

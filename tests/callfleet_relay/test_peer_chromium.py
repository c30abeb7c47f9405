"""Two Chromium tabs call each other, through the relay and nothing else."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from .certificates import Pair
from .conftest import StartRelay
from .support import consumer_credential
from .test_peer_turn import fetch

pytestmark = pytest.mark.peer

CALL_SECONDS = 60.0
ENOUGH = 20
"""Video frames and audio packets that make it a call."""
SOME_COLOURS = 10
"""More than a picture has that shows nothing."""
PAGE = Path(__file__).parent / "call.html"
ORIGIN = "http://localhost/call"
FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]


@pytest.fixture
async def browser(pair: Pair) -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: apt-get install chromium"
    # --ignore-certificate-errors is not heeded for TURN; this is, as a matter of the verifier.
    trust = f"--ignore-certificate-errors-spki-list={pair.public_key_hash}"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, trust])
        yield started
        await started.close()


async def open_tab(browser: Browser, ice_server: dict[str, str]) -> Page:
    page = await browser.new_page()
    await page.route(ORIGIN, lambda route: route.fulfill(path=PAGE, content_type="text/html"))
    await page.goto(ORIGIN)
    await page.evaluate("server => start(server)", ice_server)
    return page


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        ("udp", "turn:127.0.0.1:{}?transport=udp"),
        ("tcp", "turn:127.0.0.1:{}?transport=tcp"),
        ("tls", "turns:127.0.0.1:{}?transport=tcp"),
    ],
    ids=["udp", "tcp", "tls"],
)
async def test_two_tabs_see_and_hear_each_other(
    start_stream_relay: StartRelay, browser: Browser, listener: str, url: str, tmp_path: Path
) -> None:
    listen = f"{listener}://127.0.0.1:0"
    relay = start_stream_relay("--allow-peer", "127.0.0.0/8", "--allow-hairpin", "--listen", listen)
    credential = consumer_credential(expires=time.time() + 600)
    ice_server = {
        "urls": url.format(relay.address[1]),
        "username": credential.username,
        "credential": credential.password,
    }
    async with asyncio.timeout(CALL_SECONDS):
        caller = await open_tab(browser, ice_server)
        callee = await open_tab(browser, ice_server)
        offer = await caller.evaluate("offer()")
        assert " typ relay " in offer["sdp"]
        answer = await callee.evaluate("offered => answer(offered)", offer)
        await caller.evaluate("answered => accept(answered)", answer)

        for page in (caller, callee):
            figures = await page.evaluate("figures()")
            while figures["framesDecoded"] < ENOUGH or figures["audioPackets"] < ENOUGH:
                figures = await page.evaluate("figures()")
            assert (figures["local"], figures["remote"]) == ("relay", "relay")
            assert await page.evaluate("colours()") > SOME_COLOURS
        screenshot = await caller.screenshot(path=tmp_path / f"{listener}.png")
        assert screenshot.startswith(b"\x89PNG")

        metrics = await asyncio.to_thread(fetch, f"{relay.metrics_url}/metrics")
    assert 'dropped_packets_total{cause="malformed"} 0.0' in metrics
    assert 'allocate_requests_total{outcome="bad_request"} 0.0' in metrics

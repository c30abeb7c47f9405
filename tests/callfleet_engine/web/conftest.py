from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import running, settings
from tests.callfleet_engine.keys import join_keys

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream=fps=10",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]


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
def keys(tmp_path: Path) -> Path:
    return join_keys(tmp_path)


@pytest.fixture
async def engine(tmp_path: Path, keys: Path) -> AsyncIterator[Engine]:
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        yield engine

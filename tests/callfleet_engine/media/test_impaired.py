"""Chromium receives over a bad network: lost packets are repaired, a slow link gets less."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from callfleet_engine.media.plane import AiortcCall, AiortcPlane
from tests.callfleet_engine.media.chromium import SIMULCAST, SINGLE, Stats, Tab, eventually
from tests.callfleet_engine.media.impaired import Impaired, Way
from tests.callfleet_engine.web.conftest import CHROMIUM, FLAGS

pytestmark = pytest.mark.peer


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS, "--autoplay-policy=no-user-gesture-required"],
        )
        yield browser
        await browser.close()


def video(found: Stats, name: str) -> int:
    return int(found.get("video", {}).get(name, 0))


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10])
async def test_lost_packets_are_repaired(
    browser: Browser, call: AiortcCall, plane: AiortcPlane, loss: float
) -> None:
    network = Impaired(("127.0.0.1", plane.port), down=Way(loss=loss, jitter=0.05))
    alice = await Tab.join(browser, call, "alice")
    bob = await Tab.join(browser, call, "bob")
    bob.subscribe_through = network.address
    await alice.publish(SINGLE)
    first = await eventually(bob.received, lambda s: video(s, "framesDecoded") > 10, "bob decodes")
    after = await eventually(
        bob.received,
        lambda s: (
            network.lost > 20
            and video(s, "retransmittedPacketsReceived") > 3
            and video(s, "framesDecoded") > video(first, "framesDecoded") + 60
        ),
        "lost packets come again, and frames go on",
    )
    assert video(after, "nackCount") > 0
    assert not alice.ends + bob.ends
    await alice.close()
    await bob.close()
    network.close()


async def test_a_slow_subscriber_gets_the_low_layer_and_the_others_lose_nothing(
    browser: Browser, call: AiortcCall, plane: AiortcPlane
) -> None:
    network = Impaired(("127.0.0.1", plane.port))
    alice = await Tab.join(browser, call, "alice")
    bob = await Tab.join(browser, call, "bob")
    carol = await Tab.join(browser, call, "carol")
    bob.subscribe_through = network.address
    await alice.publish(SIMULCAST)
    await eventually(
        bob.received,
        lambda s: bob.rid == carol.rid != "q" and video(s, "framesDecoded") > 10,
        "bob gets a higher layer, as carol does",
    )
    before = await carol.received()
    network.down = Way(rate=300_000)
    began = network.now
    low = await eventually(bob.received, lambda _: bob.rid == "q", "bob gets the low layer")
    print(f"the low layer after {network.now - began:.2f} s")
    await eventually(
        bob.received,
        lambda s: (
            bob.rid == "q"
            and 0 < video(s, "frameHeight") <= 540 // 4
            and video(s, "framesDecoded") > video(low, "framesDecoded") + 20
            and s["audio"]["packetsReceived"] > low["audio"]["packetsReceived"] + 50
        ),
        "bob sees the low layer and hears",
    )
    after = await eventually(
        carol.received,
        lambda s: carol.rid not in {"q", ""} and video(s, "framesDecoded") > 60,
        "carol goes on with a higher layer",
    )
    assert video(after, "packetsLost") <= video(before, "packetsLost")
    assert not alice.ends + bob.ends + carol.ends
    for tab in (alice, bob, carol):
        await tab.close()
    network.close()

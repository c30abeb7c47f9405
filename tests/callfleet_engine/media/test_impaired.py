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


UNTOLD = 350_000
"""Bit/s: a publisher who learns nothing of its path stays at 300,000."""


def video(found: Stats, name: str) -> int:
    return int(found.get("video", {}).get(name, 0))


def grown(found: Stats, before: Stats, name: str) -> int:
    return video(found, name) - video(before, name)


async def test_lost_packets_are_repaired(
    browser: Browser, call: AiortcCall, plane: AiortcPlane
) -> None:
    network = Impaired(("127.0.0.1", plane.port), down=Way(jitter=0.05))
    alice = await Tab.join(browser, call, "alice")
    bob = await Tab.join(browser, call, "bob")
    bob.subscribe_through = network.address
    await alice.publish(SINGLE)
    before = await eventually(bob.received, lambda s: video(s, "framesDecoded") > 10, "bob decodes")
    for loss in (0.01, 0.05, 0.10):
        network.down.loss = loss
        lost = network.lost
        before = await eventually(
            bob.received,
            lambda s, lost=lost, before=before: (  # type: ignore[misc]
                network.lost > lost + 5
                and grown(s, before, "framesDecoded") > 40
                and grown(s, before, "retransmittedPacketsReceived") > 1
            ),
            f"at {loss:.0%}, what was lost comes again and frames go on",
        )
    assert video(before, "nackCount") > 0
    assert not alice.ends + bob.ends
    for tab in (alice, bob):
        await tab.close()
    network.close()


async def test_a_publishers_losses_are_asked_for_again_and_fed_back(
    browser: Browser, call: AiortcCall, plane: AiortcPlane
) -> None:
    network = Impaired(("127.0.0.1", plane.port), up=Way(loss=0.05))
    alice = await Tab.join(browser, call, "alice")
    bob = await Tab.join(browser, call, "bob")
    alice.publish_through = network.address
    answer = await alice.publish(SIMULCAST)
    assert "transport-cc" in answer
    assert "rtx/90000" in answer
    first = await eventually(bob.received, lambda s: video(s, "framesDecoded") > 10, "bob decodes")
    sent = await eventually(
        alice.sent,
        lambda s: (
            network.lost > 20
            and sum(each.get("retransmittedPacketsSent", 0) for each in s.values()) > 5
            and s.get("pair", {}).get("availableOutgoingBitrate", 0) > UNTOLD
        ),
        "alice sends again what was lost, and learns what her path carries",
    )
    assert sum(each.get("nackCount", 0) for each in sent.values()) > 0
    await eventually(
        bob.received,
        lambda s: video(s, "framesDecoded") > video(first, "framesDecoded") + 30,
        "bob goes on",
    )
    lost = sum(s.packets_lost for s in alice.session.stats().published)
    assert lost > 0  # reported as lost, though it came again
    for tab in (alice, bob):
        await tab.close()
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

"""Layers, codecs and screens of real browsers through an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from callfleet_engine.engine import Engine
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.web.tabs import CONNECTIONS, LIMIT_SECONDS, join, link, until_true

pytestmark = pytest.mark.peer

LIMIT_MS = 1000 * LIMIT_SECONDS

WATCH = """
window.told = [];
window.said = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    window.signalling = this;
    this.addEventListener('message', ({ data }) => window.told.push(JSON.parse(data)));
  }

  send(data) {
    window.said.push(JSON.parse(data));
    super.send(data);
  }
};
"""
"""Keeps what the server and the page say, and the socket to say more than the page does."""

PREFER = """
{
const add = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (what, options) {
  const transceiver = add.call(this, what, options);
  const kind = transceiver.receiver.track.kind;
  const codecs = RTCRtpSender.getCapabilities(kind).codecs;
  const wanted = codecs.filter((c) => c.mimeType === 'CODEC');
  if (wanted.length > 0) {
    transceiver.setCodecPreferences([...wanted, ...codecs.filter((c) => !wanted.includes(c))]);
  }
  return transceiver;
};
}
"""

REFUSE = """
const take = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
  await take.call(this, description);
  if (description.type !== 'offer') return;
  for (const transceiver of this.getTransceivers()) {
    const kind = transceiver.receiver.track.kind;
    const codecs = RTCRtpReceiver.getCapabilities(kind).codecs;
    transceiver.setCodecPreferences(codecs.filter((c) => c.mimeType !== 'CODEC'));
  }
};
"""

SMALL = """
{
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) =>
  ask(wanted.video ? { video: { width: 320, height: 180 } } : wanted);
}
"""
"""Where the size is of no concern: encoders share the machine with everything else."""

MOVES = """
async ([selector, smallest, largest]) => {
  const video = document.querySelector(`${selector} video`);
  const fits = () => video.videoWidth >= smallest && video.videoWidth <= largest;
  if (video === null || !fits()) return false;
  const look = async () => {
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const canvas = new OffscreenCanvas(96, 54);
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 96, 54);
    return context.getImageData(0, 0, 96, 54).data;
  };
  const pictures = [await look(), await look(), await look(), await look()];
  const bright = pictures[0].some((value, index) => index % 4 < 3 && value > 60);
  const moved = pictures.slice(1).some((p) => p.some((v, i) => Math.abs(v - pictures[0][i]) > 30));
  return bright && moved && fits();
}
"""
"""Whether pixels of a video move, at a width between two."""

KEEP_RESOLUTION = """
async () => {
  for (const pc of window.connections) {
    for (const sender of pc.getSenders().filter((s) => s.track?.kind === 'video')) {
      const parameters = sender.getParameters();
      parameters.degradationPreference = 'maintain-resolution';
      await sender.setParameters(parameters);
    }
  }
}
"""
"""Where the processor is short, Chromium else makes pictures too small for three layers."""

CODEC = """
async (selector) => {
  const video = document.querySelector(`${selector} video`);
  const track = video.srcObject.getVideoTracks()[0];
  for (const pc of window.connections) {
    const receiver = pc.getReceivers().find((r) => r.track === track);
    if (receiver === undefined) continue;
    const stats = await receiver.getStats();
    for (const report of stats.values()) {
      if (report.type === 'inbound-rtp') return stats.get(report.codecId)?.mimeType ?? null;
    }
  }
  return null;
}
"""
"""The codec of what a video shows; null until Chromium's statistics, which lag, know it."""

HEARS = """
async (selector) => {
  const track = document.querySelector(`${selector} video`).srcObject.getAudioTracks()[0];
  for (const pc of window.connections) {
    const receiver = pc.getReceivers().find((r) => r.track === track);
    if (receiver === undefined) continue;
    const stats = [...(await receiver.getStats()).values()];
    return stats.some((r) => r.type === 'inbound-rtp' && r.totalAudioEnergy > 0.0001);
  }
  return false;
}
"""


def person(participant: str) -> str:
    return f'[data-participant="{participant}"]'


async def codec(page: Page, selector: str) -> str:
    """Wait until the statistics know what a video is received in."""
    await until_true(page, CODEC, selector)
    mime_type: str = await page.evaluate(CODEC, selector)
    return mime_type


async def hears(page: Page, selector: str) -> None:
    """Wait until sound of it has been played."""
    await until_true(page, HEARS, selector)


async def moves(page: Page, selector: str, smallest: int = 16, largest: int = 4096) -> None:
    """Wait until its pixels move at a width between these."""
    await until_true(page, MOVES, [selector, smallest, largest])


async def told(page: Page, kind: str, since: int = 0, **fields: object) -> dict[str, Any]:
    """Wait for a message of the server with these fields, after the first `since` of all."""
    wanted = {"type": kind, **fields}
    handle = await page.wait_for_function(
        "([since, wanted]) => window.told.slice(since)"
        ".find((m) => Object.keys(wanted).every((k) => m[k] === wanted[k]))",
        arg=[since, wanted],
        timeout=LIMIT_MS,
    )
    message: dict[str, Any] = await handle.json_value()
    return message


async def prefer(page: Page, participant: str, most: int | None) -> None:
    await page.evaluate(
        "(message) => window.signalling.send(JSON.stringify(message))",
        {"type": "layer", "participant": participant, "most": most},
    )


async def test_three_layers_and_the_one_a_subscriber_asks_for(
    browser: Browser, engine: Engine, keys: Path
) -> None:
    problems: list[str] = []
    url = link(engine, join_token(keys, seconds=600))
    alice, alice_id = await join(browser, url, "Alice", problems, WATCH + CONNECTIONS)
    bob, _ = await join(browser, url, "Bob", problems, WATCH)
    tile = person(alice_id)
    await alice.evaluate(KEEP_RESOLUTION)
    await moves(bob, tile, smallest=640)

    before = await bob.evaluate("window.told.length")
    await prefer(bob, alice_id, 0)
    await moves(bob, tile, largest=320)
    switched = await told(bob, "layers", since=before)
    assert [(t["participant"], t["source"]) for t in switched["tracks"]] == [(alice_id, "camera")]

    await prefer(bob, alice_id, 1)
    await moves(bob, tile, smallest=321, largest=640)
    await prefer(bob, alice_id, 2)
    await moves(bob, tile, smallest=641)

    await alice.evaluate("window.signalling.send(JSON.stringify({ type: 'stats', id: 99 }))")
    stats = await told(alice, "stats", id=99)
    [own] = [p for p in stats["participants"] if p["participant"] == alice_id]
    layers = {s["rid"]: s for s in own["published"] if s["source"] == "camera"}
    assert layers.keys() == {"q", "h", "f"}
    assert all(s["packetsReceived"] > 0 for s in layers.values())
    assert len({s["ssrc"] for s in layers.values()}) == 3
    # Chromium's false microphone beeps; whoever was heard first may be so to the end.
    await bob.wait_for_function(
        "() => window.told.some((m) => m.type === 'speaker' && m.participant !== null)",
        timeout=LIMIT_MS,
    )
    assert not problems


async def test_the_page_asks_for_no_more_than_a_tile_shows(
    browser: Browser, engine: Engine, keys: Path
) -> None:
    problems: list[str] = []
    url = link(engine, join_token(keys, seconds=600))
    _, alice_id = await join(browser, url, "Alice", problems, SMALL)
    bob, _ = await join(browser, url, "Bob", problems, SMALL + WATCH)
    await moves(bob, person(alice_id))
    for width, most in ((2600, 2), (220, 0), (2600, 2)):
        await bob.set_viewport_size({"width": width, "height": 1400})
        await bob.wait_for_function(
            "([participant, most]) => window.said.findLast((m) => m.type === 'layer'"
            " && m.participant === participant)?.most === most",
            arg=[alice_id, most],
            timeout=LIMIT_MS,
        )
    await moves(bob, person(alice_id))
    assert not problems


async def test_each_publisher_keeps_its_codec(browser: Browser, engine: Engine, keys: Path) -> None:
    problems: list[str] = []
    url = link(engine, join_token(keys, seconds=600))
    chosen = {"Alice": "video/H264", "Bob": "video/VP9"}
    pages = {
        name: await join(
            browser, url, name, problems, SMALL + CONNECTIONS + PREFER.replace("CODEC", codec)
        )
        for name, codec in chosen.items()
    }
    for name, other in (("Alice", "Bob"), ("Bob", "Alice")):
        page, tile = pages[name][0], person(pages[other][1])
        await moves(page, tile)
        assert await codec(page, tile) == chosen[other]
    assert not problems


async def test_who_cannot_take_a_codec_is_told_by_name(
    browser: Browser, engine: Engine, keys: Path
) -> None:
    """Redundant audio and AV1 reach who takes them; who lacks AV1 is told."""
    problems: list[str] = []
    url = link(engine, join_token(keys, seconds=600))
    publishing = PREFER.replace("CODEC", "video/AV1") + PREFER.replace("CODEC", "audio/red")
    refusing = WATCH + REFUSE.replace("CODEC", "video/AV1")
    _, alice_id = await join(browser, url, "Alice", problems, SMALL + publishing)
    bob, _ = await join(browser, url, "Bob", problems, SMALL + refusing)
    carol, _ = await join(browser, url, "Carol", problems, SMALL + CONNECTIONS)
    tile = person(alice_id)
    await moves(carol, tile)
    assert await codec(carol, tile) == "video/AV1"
    await hears(carol, tile)

    message = await told(bob, "unsupported")
    assert (message["participant"], message["codec"]) == (alice_id, "video/AV1")
    assert "video/VP8" in message["takes"]
    alert = bob.get_by_role("alert")
    await expect(alert).to_contain_text("You cannot receive the camera of Alice")
    await expect(alert).to_contain_text("AV1")
    assert not problems


async def test_a_screen_is_a_second_video(browser: Browser, engine: Engine, keys: Path) -> None:
    problems: list[str] = []
    url = link(engine, join_token(keys, seconds=600))
    alice, alice_id = await join(browser, url, "Alice", problems, SMALL)
    bob, _ = await join(browser, url, "Bob", problems, SMALL)
    await moves(bob, person(alice_id))
    screen = f'[data-screen-of="{alice_id}"]'
    await expect(bob.locator(screen)).to_have_count(0)
    await alice.get_by_role("button", name="Share screen").click()
    await moves(bob, screen)
    await moves(bob, person(alice_id))
    await expect(bob.locator(f"{screen} .caption")).to_contain_text("Alice – screen")
    await alice.get_by_role("button", name="Stop sharing").click()
    await expect(bob.locator(screen)).to_have_count(0)
    await alice.get_by_role("button", name="Share screen").click()
    await moves(bob, screen)
    assert not problems

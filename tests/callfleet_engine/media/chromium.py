"""Tabs of Chromium as participants of a media plane, without signalling between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from callfleet_engine.media.interface import (
    FailureCause,
    LossCause,
    MediaCall,
    MediaSession,
    PeerConnection,
    SubscribedTrack,
    TrackLayers,
)
from callfleet_engine.media.interface import Path as MediaPath
from tests.callfleet_engine.media.peers import through

PAGE = Path(__file__).parent / "chromium.html"
LIMIT_SECONDS = 120.0
SIMULCAST = [
    {"rid": "q", "scaleResolutionDownBy": 4, "maxBitrate": 120_000},
    {"rid": "h", "scaleResolutionDownBy": 2, "maxBitrate": 400_000},
    {"rid": "f", "scaleResolutionDownBy": 1, "maxBitrate": 1_000_000},
]
SINGLE = [{"maxBitrate": 600_000, "scaleResolutionDownBy": 2}]
Stats = dict[str, dict[str, Any]]


class Tab:
    """One participant; `subscribe_through` stands between it and the engine when it receives."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.session: MediaSession
        self.subscribe_through: tuple[str, int] | None = None
        self.publish_through: tuple[str, int] | None = None
        self.connections: list[PeerConnection] = []
        self.ends: list[str] = []
        self.speakers: list[str | None] = []
        self.layer_events: list[TrackLayers] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def join(cls, browser: Browser, call: MediaCall, name: str) -> Tab:
        page = await browser.new_page()
        await page.goto(PAGE.as_uri())
        tab = cls(page)
        tab.session = call.join(name, tab)
        return tab

    # MediaEvents

    def offer(self, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:  # noqa: ARG002
        self._spawn(self._answer(sdp))

    def connected(self, pc: PeerConnection, path: MediaPath, seconds: float) -> None:  # noqa: ARG002
        self.connections.append(pc)

    def failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        self.ends.append(f"{pc} failed: {cause}")

    def lost(self, cause: LossCause) -> None:
        self.ends.append(f"lost: {cause}")

    def speaker(self, participant: str | None) -> None:
        self.speakers.append(participant)

    def layers(self, tracks: Sequence[TrackLayers]) -> None:
        self.layer_events.extend(tracks)

    def untaken(self, track: SubscribedTrack, codec: str, takes: Sequence[str]) -> None:
        self.ends.append(f"{track.mid} comes in {codec}, which is none of {list(takes)}")

    # the client's side

    async def publish(self, encodings: list[dict[str, Any]]) -> str:
        """Publish a tone and noise; returns the engine's answer."""
        offer = await self.page.evaluate("(encodings) => publish(encodings)", encodings)
        answer = await self.session.publish(offer)
        await self.page.evaluate("(sdp) => published(sdp)", through(self.publish_through, answer))
        return answer

    async def _answer(self, sdp: str) -> None:
        seen = through(self.subscribe_through, sdp)
        await self.session.answer(await self.page.evaluate("(sdp) => answer(sdp)", seen))

    @property
    def rid(self) -> str:
        """Of the layer of the one video that this participant is sent."""
        return next((s.rid for s in self.session.stats().subscribed if s.kind == "video"), "")

    async def received(self) -> Stats:
        found: Stats = await self.page.evaluate("() => received()")
        return found

    async def sent(self) -> Stats:
        found: Stats = await self.page.evaluate("() => sent()")
        return found

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        await self.session.close()
        await self.page.close()


async def eventually(
    read: Callable[[], Awaitable[Stats]], condition: Callable[[Stats], object], what: str
) -> Stats:
    """Read again and again until the condition holds; what was read then."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LIMIT_SECONDS
    while True:
        found = await read()
        if condition(found):
            return found
        assert loop.time() < deadline, f"not within {LIMIT_SECONDS} s: {what}; last: {found}"
        await asyncio.sleep(0.2)

"""Real aiortc clients that talk to a media plane on loopback, without signalling between."""

from __future__ import annotations

import asyncio
import fractions
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.rtp import RtcpPacket, RtpPacket, unwrap_rtx

from callfleet_engine.media.interface import (
    FailureCause,
    LossCause,
    MediaCall,
    MediaSession,
    Path,
    PeerConnection,
    SubscribedTrack,
    TrackLayers,
)
from tests import waiting

LIMIT_SECONDS = 60.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition; fails with `what` after a bound."""
    await waiting.until(condition, what, within=LIMIT_SECONDS)


class Picture(VideoStreamTrack):
    """Small frames that change; brightness tells one publisher from another."""

    def __init__(self, luma: int = 120) -> None:
        super().__init__()
        self._luma = luma
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(160, 120, "yuv420p")
        for plane, value in zip(frame.planes, (self._luma, 128, 128), strict=True):
            rows = bytearray([value]) * plane.buffer_size
            start = (self._count * 7) % (len(rows) - 50)
            rows[start : start + 50] = bytes(50)
            plane.update(bytes(rows))
        self._count += 1
        frame.pts = pts
        frame.time_base = fractions.Fraction(time_base)
        return frame


class Peer:
    """One participant. `packets` holds what arrived on the subscribe connection by SSRC."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.session: MediaSession
        self.publish_pc = new_pc()
        self.subscribe_pc = new_pc()
        self.offers: list[tuple[str, tuple[SubscribedTrack, ...]]] = []
        self.answered = 0
        self.connected_events: list[tuple[PeerConnection, Path, float]] = []
        self.failures: list[tuple[PeerConnection, FailureCause]] = []
        self.losses: list[LossCause] = []
        self.speakers: list[str | None] = []
        self.layer_events: list[TrackLayers] = []
        self.untaken_events: list[tuple[SubscribedTrack, str, tuple[str, ...]]] = []
        self.packets: dict[int, list[RtpPacket]] = defaultdict(list)
        self.reports: list[Any] = []
        self.feedback: list[Any] = []
        self.remote_tracks: dict[str, MediaStreamTrack] = {}
        self.frames: dict[str, int] = defaultdict(int)
        self.last_frame: dict[str, Any] = {}
        self.dropped = 0
        self.auto_answer = True
        self.publish_through: tuple[str, int] | None = None
        self.subscribe_through: tuple[str, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.subscribe_pc.on("track", self._track)

    def join(self, call: MediaCall, **permissions: bool) -> Peer:
        self.session = call.join(self.name, self, **permissions)
        return self

    # MediaEvents

    def offer(self, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        self.offers.append((sdp, tuple(tracks)))
        if self.auto_answer:
            self._spawn(self.answer())

    def connected(self, pc: PeerConnection, path: Path, seconds: float) -> None:
        self.connected_events.append((pc, path, seconds))

    def failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        self.failures.append((pc, cause))

    def lost(self, cause: LossCause) -> None:
        self.losses.append(cause)

    def speaker(self, participant: str | None) -> None:
        self.speakers.append(participant)

    def layers(self, tracks: Sequence[TrackLayers]) -> None:
        self.layer_events.extend(tracks)

    def untaken(self, track: SubscribedTrack, codec: str, takes: Sequence[str]) -> None:
        self.untaken_events.append((track, codec, tuple(takes)))

    # the client's side

    async def publish(self, *tracks: MediaStreamTrack) -> str:
        for track in tracks:
            self.publish_pc.addTrack(track)
        return await self.renegotiate()

    async def publish_both(self, luma: int = 120) -> str:
        return await self.publish(AudioStreamTrack(), Picture(luma))

    async def renegotiate(self) -> str:
        await self.publish_pc.setLocalDescription(await self.publish_pc.createOffer())
        answer = await self.session.publish(self.publish_pc.localDescription.sdp)
        seen = through(self.publish_through, answer)
        await self.publish_pc.setRemoteDescription(RTCSessionDescription(seen, "answer"))
        self._record(self.publish_pc, self.feedback, None)
        return answer

    async def answer(self) -> None:
        sdp, _ = self.offers[-1]
        seen = through(self.subscribe_through, sdp)
        await self.subscribe_pc.setRemoteDescription(RTCSessionDescription(seen, "offer"))
        self._record(self.subscribe_pc, self.reports, self.packets)
        await self.subscribe_pc.setLocalDescription(await self.subscribe_pc.createAnswer())
        await self.session.answer(self.subscribe_pc.localDescription.sdp)
        self.answered += 1

    def tracks(self) -> dict[tuple[str, str], str]:
        """mid by participant and kind, of the last offer."""
        return {(t.participant, t.kind): t.mid for t in self.offers[-1][1]}

    def received(self, participant: str, kind: str) -> list[RtpPacket]:
        """Packets of one remote track, found by the SSRC of its m-line."""
        mid = self.tracks()[participant, kind]
        return self.packets[ssrc_of(self.offers[-1][0], mid)]

    def repaired(self, participant: str, kind: str) -> list[RtpPacket]:
        """As `received`, with those that came by RTX (RFC 4588), each once and in order."""
        mid = self.tracks()[participant, kind]
        found = {p.sequence_number: p for p in self.received(participant, kind)}
        for packet in self.packets[ssrc_of(self.offers[-1][0], mid, rtx=True)]:
            if len(packet.payload) >= 2:
                original = unwrap_rtx(packet, packet.payload_type - 1, packet.ssrc)
                found.setdefault(original.sequence_number, original)
        return [found[number] for number in sorted(found)]

    def lose_media(self, every: int) -> None:
        """Lose one of `every` large packets of the subscribe connection on the way in."""
        dtls: Any = self.subscribe_pc.getTransceivers()[0].receiver.transport
        connection = dtls.transport._connection
        deliver = connection.data_received
        count = 0

        def data_received(data: bytes, component: int) -> None:
            nonlocal count
            if data[0] > 127 and data[1] & 0x7F == 97:
                count += 1
                if count % every == 0:
                    self.dropped += 1
                    return
            deliver(data, component)

        connection.data_received = data_received

    def _track(self, track: MediaStreamTrack) -> None:
        transceiver = next(
            t for t in self.subscribe_pc.getTransceivers() if t.receiver.track is track
        )
        mid = transceiver.mid or ""
        self.remote_tracks[mid] = track
        self._spawn(self._consume(mid, track))

    async def _consume(self, mid: str, track: MediaStreamTrack) -> None:
        while True:
            try:
                self.last_frame[mid] = await track.recv()
            except Exception as error:
                if type(error).__name__ != "MediaStreamError":
                    raise
                return
            self.frames[mid] += 1

    @staticmethod
    def _record(
        pc: RTCPeerConnection, rtcp: list[Any], rtp: dict[int, list[RtpPacket]] | None
    ) -> None:
        """Listen between SRTP and aiortc's receivers."""
        dtls: Any = pc.getTransceivers()[0].receiver.transport
        if hasattr(dtls, "recorded"):
            return
        dtls.recorded = True
        handle_rtp, handle_rtcp = dtls._handle_rtp_data, dtls._handle_rtcp_data

        async def rtp_data(data: bytes, arrival_time_ms: int) -> None:
            if rtp is not None:
                packet = RtpPacket.parse(data, dtls._rtp_header_extensions_map)
                rtp[packet.ssrc].append(packet)
            await handle_rtp(data, arrival_time_ms=arrival_time_ms)

        async def rtcp_data(data: bytes) -> None:
            rtcp.extend(RtcpPacket.parse(data))
            await handle_rtcp(data)

        dtls._handle_rtp_data, dtls._handle_rtcp_data = rtp_data, rtcp_data

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        """Hang up without a word to the session."""
        await asyncio.gather(self.publish_pc.close(), self.subscribe_pc.close())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Make = Callable[..., Peer]
"""Adds a participant of that name, and with those permissions, to the call of a test."""


async def two(peers: Make) -> tuple[Peer, Peer]:
    """Alice publishes audio and video, Bob gets them."""
    alice, bob = peers("alice"), peers("bob")
    await alice.publish_both()
    await until(lambda: bob.answered == 1, "bob has answered")
    await until(lambda: len(bob.received("alice", "video")) > 3, "bob gets video")
    return alice, bob


def new_pc() -> RTCPeerConnection:
    """Of one transport from the start: by default aiortc 1.16 leaves the second video of the first
    offer on one that it has closed."""
    return RTCPeerConnection(RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


def through(address: tuple[str, int] | None, sdp: str) -> str:
    """The description as one behind a translator at this address sees it."""
    if address is None:
        return sdp
    host, port = address
    return re.sub(r"(a=candidate:\S+ 1 udp \d+) \S+ \d+", rf"\1 {host} {port}", sdp)


def ufrag_of(sdp: str) -> str:
    return sdp.partition("a=ice-ufrag:")[2].partition("\r\n")[0]


def ssrc_of(sdp: str, mid: str, *, rtx: bool = False) -> int:
    section = next(s for s in sdp.split("\r\nm=") if f"\r\na=mid:{mid}\r\n" in s)
    if rtx:
        return int(section.split("\r\na=ssrc-group:FID ")[1].split()[1])
    return int(section.split("\r\na=ssrc:")[1].split(" ")[0])


def continuous(packets: list[RtpPacket]) -> bool:
    """Whether no sequence number is missing or repeated."""
    numbers = [p.sequence_number for p in packets]
    return all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))

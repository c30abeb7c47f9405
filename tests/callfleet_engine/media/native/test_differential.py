"""The same packets and the same control through both planes: what goes out is equal.

Random bases are chosen the same, and time is given. The native plane's packets pass SRTP in both
directions, by libsrtp on the other side.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiortc import RTCRtpCodecParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from callfleet_engine.media import rtp, transport_feedback
from callfleet_engine.media.forwarding import Down
from callfleet_engine.media.interface import Source
from callfleet_engine.media.negotiation import OPUS
from callfleet_engine.media.retransmission import RtxStream
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.transport_feedback import ArrivalRecorder
from tests.callfleet_engine.media.simulcast import (
    FRAME_SECONDS,
    RIDS,
    Encoder,
    extended,
    is_rtcp,
)

from .stages import PUBLISHER, NativeStage, PythonStage, Stage, described

pytestmark = pytest.mark.slow

SOURCES: dict[str, Source] = {"0": "microphone", "1": "camera"}
VP8, VP8_RTX, RED, CLIENTS_OPUS = 96, 97, 63, 111
MID, RID, REPAIRED, LEVEL, NUMBER, SEND_TIME, ORIENTATION = 4, 10, 11, 1, 5, 2, 7
EXTENSIONS = {
    rtp.MID_URI: MID,
    rtp.RID_URI: RID,
    rtp.REPAIRED_RID_URI: REPAIRED,
    rtp.AUDIO_LEVEL_URI: LEVEL,
    rtp.ABS_SEND_TIME_URI: SEND_TIME,
    "urn:3gpp:video-orientation": ORIENTATION,
}
CODECS = {
    "0": (
        RTCRtpCodecParameters("audio/opus", 48000, 2, CLIENTS_OPUS),
        RTCRtpCodecParameters("audio/red", 48000, 2, RED),
    ),
    "1": (RTCRtpCodecParameters("video/VP8", 90000, None, VP8),),
}
AUDIO_SSRC, RTX_SSRC = 7, 1000
SUBSCRIBERS = ("bob", "carol")
"""Bob takes what the engine offers; Carol chose her own numbers, and takes no RED."""


def lines(*, numbered: bool) -> dict[str, NegotiatedMedia]:
    extensions = EXTENSIONS | ({rtp.TRANSPORT_NUMBER_URI: NUMBER} if numbered else {})
    return {
        mid: NegotiatedMedia(
            mid=mid,
            kind="audio" if mid == "0" else "video",
            sends=False,
            receives=True,
            codecs=CODECS[mid],
            extensions=extensions,
            rtx={VP8_RTX: VP8} if mid == "1" else {},
        )
        for mid in SOURCES
    }


@dataclass
class Subscriber:
    """One subscriber on one stage."""

    audio: Down
    video: Down


def subscribe(stage: Stage, name: str) -> Subscriber:
    transport = stage.subscribe(name)
    base = 100 * (1 + SUBSCRIBERS.index(name))
    made = Subscriber(transport.downtrack(base), transport.downtrack(base + 1))
    if name == "bob":
        transport.rtx[made.video.ssrc] = RtxStream(base + 2, {97: 98}, 500)
        transport.negotiated(4)
    else:
        transport.rtx[made.video.ssrc] = RtxStream(base + 2, {120: 121}, 900)
        numbers = {2: 9, 3: 8, 5: 1}
        transport.negotiated(None, {made.audio.ssrc: numbers, made.video.ssrc: numbers})
    return made


MAPPINGS: Mapping[str, tuple[dict[int, int], dict[int, int], dict[int, int]]] = {
    "bob": ({CLIENTS_OPUS: OPUS, RED: 111}, {}, {VP8: 97}),
    "carol": ({CLIENTS_OPUS: 109}, {RED: 109}, {VP8: 120}),
}
"""Of audio, of RED that is unwrapped, of video."""


@dataclass
class Both:
    """The two stages, and what a publisher and two clients do to them."""

    numbered: bool
    stages: tuple[Stage, Stage] = field(init=False)
    now: float = 1000.0
    transport_number: int = 65_500

    def __post_init__(self) -> None:
        self.native = NativeStage(self.now)
        self.stages = (PythonStage(self.now), self.native)
        self.subscribers = [
            {name: subscribe(stage, name) for name in SUBSCRIBERS} for stage in self.stages
        ]
        self.encoders = [
            Encoder("q", 11, 65_500, 4_294_960_000, 32_700, 250),
            Encoder("h", 22, 7, 90_000, 5, 5),
            Encoder("f", 33, 30_000, 2_000_000_000, 20_000, 128),
        ]
        self.audio = Encoder("", AUDIO_SSRC, 65_530, 4_294_960_000, 0, 0)
        self.repair = RtxStream(RTX_SSRC, {VP8: VP8_RTX}, 65_000)
        self.lost: list[bytes] = []
        self.arrivals = {name: ArrivalRecorder() for name in SUBSCRIBERS}
        self.read = dict.fromkeys((*SUBSCRIBERS, PUBLISHER), 0)
        self.seen: dict[str, list[int]] = {name: [] for name in SUBSCRIBERS}
        self.negotiate()

    def negotiate(self) -> None:
        remote = described(SOURCES, rids={"1": RIDS}, ssrcs={"0": (AUDIO_SSRC,)}, repairs={})
        for stage in self.stages:
            stage.negotiate(lines(numbered=self.numbered), remote)

    def attach(self, name: str) -> None:
        opus, red, vp8 = MAPPINGS[name]
        for stage, subscribers in zip(self.stages, self.subscribers, strict=True):
            tracks = stage.publishing.tracks
            subscribers[name].audio.attach(tracks["microphone"], opus, red)
            subscribers[name].video.attach(tracks["camera"], vp8, {})
            tracks["camera"].request_keyframe(self.now)

    def send(self, data: bytes, *, rtcp: bool = False) -> None:
        for stage in self.stages:
            stage.now = self.now
            stage.publish(data, rtcp=rtcp)

    def media(self, packet: bytes, *pairs: tuple[int, bytes], lose: bool = False) -> None:
        self.transport_number += 1
        number = (self.transport_number & 0xFFFF).to_bytes(2, "big")
        sent = int(self.now * 262144) & 0xFFFFFF
        known = [(NUMBER, number)] if self.numbered else [(SEND_TIME, sent.to_bytes(3, "big"))]
        whole = extended(packet, *known, *pairs)
        if lose:
            self.lost.append(whole)
        else:
            self.send(whole)

    def video(self, packets: int, fates: list[int]) -> None:
        """A frame of each layer; some packets come late, some not at all."""
        late = []
        for encoder in self.encoders:
            for data in encoder.encode(packets):
                fate = fates.pop() if fates else 9
                names = [(MID, b"1"), (RID, encoder.rid.encode()), (ORIENTATION, b"\x01")]
                if fate == 1:
                    late.append((data, names))
                else:
                    self.media(data, *names, lose=fate == 0)
        for data, names in late:
            self.media(data, *names)

    def sound(self, payload_type: int, level: int) -> None:
        audio = self.audio
        payload = b"opus" if payload_type == CLIENTS_OPUS else b"\xef\x00\x04\x03\x6foldnewest"
        header = rtp.HEADER.pack(
            0x80, payload_type, audio.sequence & 0xFFFF, audio.timestamp & 0xFFFFFFFF, AUDIO_SSRC
        )
        audio.sequence += 1
        audio.timestamp += 960
        self.media(header + payload, (LEVEL, bytes([level])), (MID, b"0"))

    def repaired(self) -> None:
        """What was lost comes again by RTX, of one layer after the other."""
        rids = {encoder.ssrc: encoder.rid for encoder in self.encoders}
        for data in self.lost[:4]:
            rid = rids.get(rtp.SSRC.unpack_from(data, 8)[0], "")
            if rid != "q":
                continue  # one stream of RTX repeats one other, and none a stream that has ended
            wrapped = self.repair.wrap(data)
            assert wrapped is not None
            at = rtp.payload_offset(data)
            bare = wrapped[:12] + wrapped[at:]
            bare = bytes([bare[0] & ~rtp.EXTENSION]) + bare[1:]
            self.media(bare, (MID, b"1"), (REPAIRED, rid.encode()))
        del self.lost[:4]

    def sender_report(self, index: int) -> None:
        encoder = [*self.encoders, self.audio][index]
        info = RtcpSenderInfo(
            ntp_timestamp=int(self.now * 2**32),
            rtp_timestamp=encoder.timestamp & 0xFFFFFFFF,
            packet_count=1,
            octet_count=1,
        )
        self.send(bytes(RtcpSrPacket(ssrc=encoder.ssrc, sender_info=info)), rtcp=True)

    def report(self, name: str, packet: object) -> None:
        for stage in self.stages:
            stage.now = self.now
            stage.report(name, bytes(packet))  # type: ignore[call-overload] # all RTCP packets can

    def client(self, name: str, kind: str, value: int) -> None:
        """What a subscriber's client says."""
        video = self.subscribers[0][name].video.ssrc
        match kind:
            case "nack":
                lost = sorted({n & 0xFFFF for n in self.seen[name][-value:][:3]})
                if lost:
                    self.report(name, RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, video, lost))
            case "pli":
                self.report(name, RtcpPsfbPacket(RTCP_PSFB_PLI, 1, video))
            case "remb":
                fci = pack_remb_fci(value * 50_000, [video])
                self.report(name, RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, fci))
            case "rr":
                stamp = int((self.now - 0.2) * 65536) & 0xFFFFFFFF
                info = RtcpReceiverInfo(video, value, value, 1, value, stamp, 1000)
                self.report(name, RtcpRrPacket(1, [info]))
            case "feedback":
                for message in self.arrivals[name].messages():
                    packed = transport_feedback.pack(message, sender_ssrc=1, media_ssrc=video)
                    self.report(name, packed)

    def padding(self, index: int) -> None:
        """What a publisher probes with."""
        encoder = self.encoders[index]
        self.media(encoder.padding(), (MID, b"1"), (RID, encoder.rid.encode()))

    def keyframes(self, index: int) -> None:
        """The layer's next frame is one."""
        self.encoders[index].key = True

    def restart(self, index: int) -> None:
        """The layer goes on with another SSRC and other numbers."""
        encoder = self.encoders[index]
        encoder.ssrc += 1000
        encoder.sequence += 20_000
        encoder.timestamp += 1_000_000_000
        encoder.key = True

    def choose(self, name: str, layer: int | None) -> None:
        for down in self.downs(name)[1]:
            down.choose(layer)

    def mute(self, source: Source, sending: bool) -> None:
        for stage in self.stages:
            stage.publishing.set_sending(source, sending, self.now)

    def detach(self, name: str) -> None:
        for pair in self.downs(name):
            for down in pair:
                down.detach()

    def second(self) -> None:
        """What a publisher is told once a second."""
        for stage in self.stages:
            stage.publishing.report(self.now)

    def tick(self, next_step: float) -> None:
        for stage in self.stages:
            stage.now = self.now
            stage.tick()
            for transport in stage.subscribers.values():
                transport.tick(next_step=next_step, now=self.now)
        python, native = self.stages
        for name in SUBSCRIBERS:
            assert native.subscribers[name].budget == python.subscribers[name].budget
        for source, track in python.publishing.tracks.items():
            twin = native.publishing.tracks[source]
            assert twin.states == track.states
            assert twin.take_loudest() == track.take_loudest()
            assert twin.mime_type == track.mime_type
        for name in SUBSCRIBERS:
            for down, other in self.downs(name):
                assert (other.layer, other.target, other.rid) == (down.layer, down.target, down.rid)
                assert other.untaken == down.untaken

    def downs(self, name: str) -> list[tuple[Down, Down]]:
        one, two = (subscribers[name] for subscribers in self.subscribers)
        return [(one.audio, two.audio), (one.video, two.video)]

    def compare(self) -> None:
        """All that was sent since the last time, packet by packet."""
        self.native.take()
        python, native = self.stages
        for name in (*SUBSCRIBERS, PUBLISHER):
            sent, others = (
                python.sent[name][self.read[name] :],
                native.sent[name][self.read[name] :],
            )
            self.read[name] += len(sent)
            for ours, theirs in zip(sent, others, strict=True):
                assert theirs.hex() == ours.hex(), name
            if name in SUBSCRIBERS:
                self._note(name, sent)

    def _note(self, name: str, packets: list[bytes]) -> None:
        video = self.subscribers[0][name].video.ssrc
        for data in packets:
            if is_rtcp(data):
                continue
            _, _, sequence, _, ssrc = rtp.HEADER.unpack_from(data)
            if ssrc == video:
                self.seen[name].append(sequence)
            number = rtp.extension(data, 4) if name == "bob" else None
            if number is not None:
                self.arrivals[name].record(int.from_bytes(number, "big"), self.now)


WHO = st.sampled_from(SUBSCRIBERS)
HAPPENINGS = st.one_of(
    st.tuples(st.just("video"), st.integers(1, 3), st.lists(st.integers(0, 12), max_size=9)),
    st.tuples(st.just("video"), st.integers(1, 3), st.lists(st.integers(0, 12), max_size=9)),
    st.tuples(st.just("sound"), st.sampled_from([CLIENTS_OPUS, RED]), st.integers(0, 127)),
    st.tuples(st.just("repaired")),
    st.tuples(st.just("padding"), st.integers(0, 2)),
    st.tuples(st.just("keyframes"), st.integers(0, 2)),
    st.tuples(st.just("sender_report"), st.integers(0, 3)),
    st.tuples(st.just("choose"), WHO, st.sampled_from([0, 1, 2, None])),
    st.tuples(st.just("mute"), st.sampled_from(["microphone", "camera"]), st.booleans()),
    st.tuples(
        st.just("client"),
        WHO,
        st.sampled_from(["nack", "nack", "pli", "remb", "rr", "feedback"]),
        st.integers(1, 60),
    ),
    st.tuples(st.just("tick"), st.sampled_from([50_000.0, 5_000_000.0])),
    st.tuples(st.just("second")),
    st.tuples(st.just("detach"), WHO),
    st.tuples(st.just("attach"), WHO),
    st.tuples(st.just("restart"), st.integers(0, 2)),
)


@pytest.fixture(autouse=True)
def _same_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen at random is the same in both planes."""
    monkeypatch.setattr(secrets, "randbits", lambda bits: 0x1234_5678 & (1 << bits) - 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(HAPPENINGS, max_size=60))
@example(False, [("tick", 50_000.0), ("attach", "bob"), ("sound", CLIENTS_OPUS, 0)])
def test_whatever_happens_both_planes_send_the_same(
    numbered: bool, happenings: list[tuple[Any, ...]]
) -> None:
    both = Both(numbered)
    for name in SUBSCRIBERS:
        both.attach(name)
    begin, end = [("video", 2, []), ("sound", RED, 30)], ("tick", 50_000.0)
    for happening in [*begin, *happenings, end]:
        both.now += FRAME_SECONDS
        name, *arguments = happening
        getattr(both, name)(*arguments)
        both.compare()
    ours, theirs = (stage.counters() for stage in both.stages)
    assert theirs == ours
    python, native = both.stages
    assert native.publishing.stats() == python.publishing.stats()
    for name in SUBSCRIBERS:
        for down, other in both.downs(name):
            assert other.figures() == down.figures()

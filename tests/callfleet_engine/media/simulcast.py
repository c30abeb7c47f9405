"""A publisher of three VP8 layers and one subscriber, without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiortc import RTCRtpCodecParameters
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)

from callfleet_engine.media import rtp
from callfleet_engine.media.codecs import vp8
from callfleet_engine.media.downtrack import DownTrack
from callfleet_engine.media.forwarding import Down, Published
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.published_layer import PublishedLayer
from callfleet_engine.media.retransmission import RtxStream, unwrap
from callfleet_engine.media.seams import NegotiatedMedia
from tests.callfleet_engine.media.native.stages import (
    PUBLISHER,
    PythonStage,
    Stage,
    described,
)

SUBSCRIBER = "bob"
MID = "1"
RIDS = ("q", "h", "f")
VP8, SUBSCRIBED, SUBSCRIBED_RTX = 96, 97, 98
RTX_SSRC = 78
FRAME_TICKS = 3000
FRAME_SECONDS = FRAME_TICKS / 90000
EXTENSIONS = {rtp.MID_URI: 4, rtp.RID_URI: 10, rtp.ABS_SEND_TIME_URI: 2}
CODEC = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90000, payloadType=VP8)


def elements(*pairs: tuple[int, bytes]) -> bytes:
    """A header extension block with headers of one byte."""
    data = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in pairs)
    data += bytes(-len(data) % 4)
    return b"\xbe\xde" + (len(data) // 4).to_bytes(2, "big") + data


def extended(packet: bytes, *pairs: tuple[int, bytes]) -> bytes:
    """The packet with these header extensions."""
    first = packet[0] | rtp.EXTENSION
    return bytes([first]) + packet[1:12] + elements(*pairs) + packet[12:]


def is_rtcp(data: bytes) -> bool:
    """RFC 5761 section 4."""
    return 192 <= data[1] < 224


def media(*codecs: RTCRtpCodecParameters) -> NegotiatedMedia:
    return NegotiatedMedia(
        mid=MID, kind="video", sends=False, receives=True, codecs=codecs, extensions=EXTENSIONS
    )


@dataclass
class Encoder:
    """One layer: where its numbers stand; `key` asks for a keyframe."""

    rid: str
    ssrc: int
    sequence: int
    timestamp: int
    picture: int
    base: int
    key: bool = True
    frames: int = 0

    def encode(self, packets: int) -> list[bytes]:
        """The next frame as RTP packets; the payload says where it comes from."""
        made = []
        for index in range(packets):
            start = 0x90 if index == 0 else 0x80
            descriptor = bytes([start, 0xE0, 0x80 | self.picture >> 8 & 0x7F, self.picture & 0xFF])
            descriptor += bytes([self.base & 0xFF, 0x20])
            interframe = b"\x00" if self.key else b"\x01"
            where = {"rid": self.rid, "frame": self.frames, "index": index, "key": self.key}
            marker = rtp.MARKER if index == packets - 1 else 0
            made.append(self._rtp(marker, descriptor + interframe + json.dumps(where).encode()))
        self.key = False
        self.frames += 1
        self.picture += 1
        self.base += 1
        self.timestamp += FRAME_TICKS
        return made

    def padding(self) -> bytes:
        """What a probe for bandwidth sends."""
        packet = self._rtp(0, bytes(254) + b"\xff")
        return bytes([packet[0] | rtp.PADDING]) + packet[1:]

    def _rtp(self, marker: int, payload: bytes) -> bytes:
        header = rtp.HEADER.pack(
            0x80, marker | VP8, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        )
        self.sequence += 1
        return header + payload


@dataclass(frozen=True)
class Seen:
    """A packet as the subscriber gets it."""

    sequence: int
    timestamp: int
    picture: int
    base: int
    rid: str
    frame: int
    index: int
    key: bool


class Simulcast:
    """`wire` is what the subscriber got, in the order of sending, `reports` the RTCP of it, and
    `repaired` what was sent again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._read = dict.fromkeys((PUBLISHER, SUBSCRIBER), 0)
        self.wire: list[bytes] = []
        self.reports: list[bytes] = []
        self.repaired: list[Seen] = []
        self.asked: list[int] = []
        """SSRCs that a keyframe was asked of."""
        remote = described({MID: "camera"}, rids={MID: RIDS}, ssrcs={}, repairs={})
        stage.negotiate({MID: media(CODEC)}, remote)
        transport = stage.subscribe(SUBSCRIBER)
        self.down: Down = transport.downtrack(77)
        transport.rtx[self.down.ssrc] = RtxStream(RTX_SSRC, {SUBSCRIBED: SUBSCRIBED_RTX}, 500)
        transport.negotiated(None)
        self.encoders = [
            Encoder("q", 11, 65_500, 4_294_960_000, 32_700, 250),
            Encoder("h", 22, 7, 90_000, 5, 5),
            Encoder("f", 33, 30_000, 2_000_000_000, 20_000, 128),
        ]

    @property
    def now(self) -> float:
        """In seconds."""
        return self._stage.now

    @now.setter
    def now(self, now: float) -> None:
        self._stage.now = now

    @property
    def track(self) -> Published:
        """What is published."""
        return self._stage.publishing.tracks["camera"]

    def attach(self) -> None:
        self.down.attach(self.track, {VP8: SUBSCRIBED}, {})

    def set_sending(self, sending: bool) -> None:
        self._stage.publishing.set_sending("camera", sending, self.now)

    def tenth(self) -> None:
        """A tenth of a second is over: what is still wanted is asked for."""
        self._stage.tick()
        self._take()

    def nack(self, *lost: int) -> None:
        """The subscriber asks for these again."""
        packet = RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, self.down.ssrc, list(lost))
        self._stage.report(SUBSCRIBER, bytes(packet))
        self._take()

    def deliver(self, index: int, data: bytes) -> None:
        names = [
            (EXTENSIONS[rtp.MID_URI], MID.encode()),
            (EXTENSIONS[rtp.RID_URI], self.encoders[index].rid.encode()),
        ]
        self._stage.publish(extended(data, *names))
        self._take()

    def _take(self) -> None:
        self._stage.take()
        for data in self._sent(SUBSCRIBER):
            if is_rtcp(data):
                self.reports.append(data)
            elif rtp.SSRC.unpack_from(data, 8)[0] == RTX_SSRC:
                original = unwrap(data, payload_type=SUBSCRIBED, ssrc=self.down.ssrc)
                assert original is not None
                self.repaired.append(see(original))
            else:
                self.wire.append(data)
        for data in self._sent(PUBLISHER):
            for packet in RtcpPacket.parse(data):
                if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_PLI:
                    self.asked.append(packet.media_ssrc)

    def _sent(self, name: str) -> list[bytes]:
        new = self._stage.sent[name][self._read[name] :]
        self._read[name] += len(new)
        return new

    def frame(self, packets: int = 2) -> None:
        """All layers encode the same picture, all of it arrives."""
        self.now += FRAME_SECONDS
        for index, encoder in enumerate(self.encoders):
            for data in encoder.encode(packets):
                self.deliver(index, data)

    def report(self, index: int, skew: float = 0.0) -> None:
        """A sender report: all layers share a clock."""
        encoder = self.encoders[index]
        info = RtcpSenderInfo(
            ntp_timestamp=int((self.now + skew) * 2**32),
            rtp_timestamp=encoder.timestamp & 0xFFFFFFFF,
            packet_count=0,
            octet_count=0,
        )
        packet = RtcpSrPacket(ssrc=encoder.ssrc, sender_info=info)
        self._stage.publish(bytes(packet), rtcp=True)
        self._take()

    def seen(self) -> list[Seen]:
        return [see(data) for data in self.wire if not data[0] & rtp.PADDING]


class Reference(Simulcast):
    """On the Python plane, whose layers a test can look into."""

    down: DownTrack

    def __init__(self) -> None:
        super().__init__(PythonStage(1000.0))

    @property
    def track(self) -> PublishedTrack:
        found = super().track
        assert isinstance(found, PublishedTrack)
        return found

    def layer(self, index: int) -> PublishedLayer:
        encoder = self.encoders[index]
        return self.track.use_ssrc(encoder.ssrc, encoder.rid)

    def again(self, index: int, data: bytes) -> None:
        """What came by RTX, as it was at first."""
        self.track.receive(self.layer(index), data, self.now, again=True)
        self._take()


def see(data: bytes) -> Seen:
    _, _, sequence, timestamp, _ = rtp.HEADER.unpack_from(data)
    payload = data[rtp.payload_offset(data) :]
    marks = vp8.read(payload).marks
    assert marks is not None
    where: dict[str, Any] = json.loads(payload[7:])
    return Seen(sequence, timestamp, marks.picture, marks.base, **where)

"""A publisher of three VP8 layers and one subscriber, without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiortc import RTCRtpCodecParameters
from aiortc.rtp import RtcpPacket, RtcpPsfbPacket, RtcpSenderInfo

from callfleet_engine.media import rtp
from callfleet_engine.media.codecs import vp8
from callfleet_engine.media.downtrack import DownTrack
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.published_layer import PublishedLayer
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.totals import Totals

RIDS = ("q", "h", "f")
VP8, SUBSCRIBED = 96, 97
FRAME_TICKS = 3000
FRAME_SECONDS = FRAME_TICKS / 90000
EXTENSIONS = {rtp.MID_URI: 4, rtp.RID_URI: 10, rtp.ABS_SEND_TIME_URI: 2}
CODEC = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90000, payloadType=VP8)


def media(*codecs: RTCRtpCodecParameters) -> NegotiatedMedia:
    return NegotiatedMedia(
        mid="1", kind="video", sends=False, receives=True, codecs=codecs, extensions=EXTENSIONS
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
    """`wire` is what the subscriber got, in the order of sending."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.totals = Totals()
        self.wire: list[bytes] = []
        self.reports: list[bytes] = []
        self.asked: list[int] = []
        """SSRCs that a keyframe was asked of."""
        self.track = PublishedTrack(
            participant="alice",
            source="camera",
            reporter_ssrc=9,
            send_rtcp=self._feedback,
            totals=self.totals,
            max_bitrate=1_000_000,
        )
        self.track.negotiated(media(CODEC), RIDS)
        self.encoders = [
            Encoder("q", 11, 65_500, 4_294_960_000, 32_700, 250),
            Encoder("h", 22, 7, 90_000, 5, 5),
            Encoder("f", 33, 30_000, 2_000_000_000, 20_000, 128),
        ]
        self.down = DownTrack(77, self._send, self._send, self._send_rtcp, self.totals)

    def _send(self, head: bytes, tail: bytes, _: float = 0.0) -> bool:
        self.wire.append(rtp.without_number(head, tail))
        return True

    def _send_rtcp(self, data: bytes) -> bool:
        self.reports.append(data)
        return True

    def _feedback(self, data: bytes) -> bool:
        for packet in RtcpPacket.parse(data):
            if isinstance(packet, RtcpPsfbPacket) and packet.fmt == 1:
                self.asked.append(packet.media_ssrc)
        return True

    def attach(self) -> None:
        self.down.attach(self.track, {VP8: SUBSCRIBED})

    def layer(self, index: int) -> PublishedLayer:
        encoder = self.encoders[index]
        return self.track.use_ssrc(encoder.ssrc, encoder.rid)

    def deliver(self, index: int, data: bytes) -> None:
        self.track.receive(self.layer(index), data, self.now)

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
        self.layer(index).sender_report(info, self.now)

    def seen(self) -> list[Seen]:
        return [see(data) for data in self.wire if not data[0] & rtp.PADDING]


def see(data: bytes) -> Seen:
    _, _, sequence, timestamp, _ = rtp.HEADER.unpack_from(data)
    payload = data[rtp.payload_offset(data) :]
    marks = vp8.read(payload).marks
    assert marks is not None
    where: dict[str, Any] = json.loads(payload[7:])
    return Seen(sequence, timestamp, marks.picture, marks.base, **where)

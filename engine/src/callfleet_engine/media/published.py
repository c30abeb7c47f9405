"""One track that a participant publishes: received once, handed to each subscriber's downtrack.

No I/O: packets come in with the time, feedback goes out through `send_rtcp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    clamp_packets_lost,
    pack_remb_fci,
)

from callfleet_engine.media import rtp
from callfleet_engine.media.downtrack import DownTrack, Packet
from callfleet_engine.media.inbound import InboundStream

if TYPE_CHECKING:
    from callfleet_engine.media.interface import Kind
    from callfleet_engine.media.seams import NegotiatedMedia
    from callfleet_engine.media.totals import Totals

KEYFRAME_INTERVAL_SECONDS = 0.5
RING_PACKETS = 256
SUBSCRIBER_AUDIO_LEVEL_ID = 2
SUBSCRIBER_ABS_SEND_TIME_ID = 3
"""The identifiers that aiortc offers to every subscriber."""


class PacketRing:
    """The last packets of a stream by extended sequence number."""

    __slots__ = ("_slots",)

    def __init__(self, size: int = RING_PACKETS) -> None:
        self._slots: list[Packet | None] = [None] * size

    def store(self, packet: Packet) -> None:
        """Keep it until as many others came."""
        self._slots[packet.extended % len(self._slots)] = packet

    def find(self, extended: int) -> Packet | None:
        """The packet of that number, None if it is gone or never came."""
        packet = self._slots[extended % len(self._slots)]
        return packet if packet is not None and packet.extended == extended else None


class PublishedTrack:
    """The receiving side of one m-line of a publisher.

    `reporter_ssrc` is the server's own SSRC in feedback to this publisher.
    """

    def __init__(
        self,
        *,
        participant: str,
        kind: Kind,
        reporter_ssrc: int,
        send_rtcp: Callable[[bytes], bool],
        totals: Totals,
        max_bitrate: int,
    ) -> None:
        self.participant = participant
        self.kind = kind
        self.mid = ""
        self.clock_rate = 48000 if kind == "audio" else 90000
        self.media: NegotiatedMedia | None = None
        self.downtracks: list[DownTrack] = []
        self.ring = PacketRing()
        self.ssrc: int | None = None
        self.sending = True
        self.nack_count = 0
        self.pli_count = 0
        self.last_packet = 0.0
        self.stream = InboundStream(self.clock_rate)
        self.payload_type = -1
        self._reporter_ssrc = reporter_ssrc
        self._send_rtcp = send_rtcp
        self._totals = totals
        self._max_bitrate = max_bitrate
        self._audio_level_id: int | None = None
        self._last_keyframe_request = float("-inf")
        self._keyframe_wanted = False
        self._last_report: tuple[int, float] | None = None

    def negotiated(self, media: NegotiatedMedia) -> None:
        """Take the result of an offer and answer."""
        self.mid = media.mid
        self.media = media
        self._audio_level_id = media.extensions.get(rtp.AUDIO_LEVEL_URI)

    def takes(self, payload_type: int) -> bool:
        """Whether the publisher may send this payload type on this m-line."""
        return self.media is not None and any(
            codec.payloadType == payload_type for codec in self.media.codecs
        )

    @property
    def mime_type(self) -> str:
        """The codec of the last packet, empty before the first."""
        codecs = self.media.codecs if self.media is not None else ()
        return next((c.mimeType for c in codecs if c.payloadType == self.payload_type), "")

    def use_ssrc(self, ssrc: int) -> None:
        """Receive this SSRC from now on; another one before it is over."""
        if ssrc == self.ssrc:
            return
        self._count_lost()
        self.ssrc = ssrc
        self.stream = InboundStream(self.clock_rate)
        self.ring = PacketRing()
        self._last_report = None

    def set_sending(self, sending: bool) -> None:
        """Forward, or hold back what comes (muted)."""
        if sending == self.sending:
            return
        self.sending = sending
        if sending:
            for downtrack in self.downtracks:
                downtrack.resume()

    def receive(self, data: bytes, now: float) -> None:
        """Take one unprotected RTP packet. Raises ValueError if its header is truncated."""
        first, marker_and_type, sequence, timestamp, _ = rtp.HEADER.unpack_from(data)
        payload = rtp.payload_offset(data)
        self.last_packet = now
        self._totals.received_packets += 1
        self.payload_type = marker_and_type & 0x7F
        extended = self.stream.add(sequence, timestamp, now, len(data) - payload)
        video = self.kind == "video"
        if video and self.stream.has_missing:
            self._send_nack(now)
        if not self.sending:
            return
        if video:
            # Each publisher has a clock of its own: what a subscriber estimates from must be ours.
            block = rtp.abs_send_time_block(SUBSCRIBER_ABS_SEND_TIME_ID, now)
        else:
            block = self._audio_level(data)
        packet = Packet(
            extended,
            (first & rtp.VERSION_AND_PADDING) | (rtp.EXTENSION if block else 0),
            marker_and_type,
            timestamp,
            block + data[payload:],
        )
        if video:
            self.ring.store(packet)
        source = self.stream
        for downtrack in self.downtracks:
            downtrack.forward(packet, source, now)

    def _audio_level(self, data: bytes) -> bytes:
        if self._audio_level_id is None:
            return b""
        value = rtp.extension(data, self._audio_level_id)
        return rtp.audio_level_block(SUBSCRIBER_AUDIO_LEVEL_ID, value[0]) if value else b""

    def _send_nack(self, now: float) -> None:
        lost = self.stream.nack(now)
        if lost and self.ssrc is not None:
            self.nack_count += 1
            self._send_rtcp(
                bytes(
                    RtcpRtpfbPacket(
                        fmt=RTCP_RTPFB_NACK,
                        ssrc=self._reporter_ssrc,
                        media_ssrc=self.ssrc,
                        lost=lost,
                    )
                )
            )

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe, at most once in half a second."""
        if self.kind != "video":
            return
        self._keyframe_wanted = True
        if self.ssrc is None or now - self._last_keyframe_request < KEYFRAME_INTERVAL_SECONDS:
            return
        request = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=self._reporter_ssrc, media_ssrc=self.ssrc)
        if self._send_rtcp(bytes(request)):
            self._keyframe_wanted = False
            self._last_keyframe_request = now
            self.pli_count += 1

    def sender_report(self, info: RtcpSenderInfo, now: float) -> None:
        """Take the publisher's sender report and pass it on."""
        self._last_report = ((info.ntp_timestamp >> 16) & 0xFFFFFFFF, now)
        for downtrack in self.downtracks:
            downtrack.report_sent(info, self.stream, now)

    def tick(self, now: float) -> None:
        """Ten times a second: repeat what is still wanted."""
        if self._keyframe_wanted:
            self.request_keyframe(now)
        if self.stream.has_missing:
            self._send_nack(now)

    def report(self, now: float) -> None:
        """Once a second: tell the publisher how it is received, and how much it may send."""
        if self.ssrc is None or self.stream.packets_received == 0:
            return
        self._count_lost()
        self._totals.observe_jitter(self.stream.jitter_seconds)
        lsr, dlsr = 0, 0
        if self._last_report is not None:
            lsr = self._last_report[0]
            dlsr = int((now - self._last_report[1]) * 65536) & 0xFFFFFFFF
        info = RtcpReceiverInfo(
            ssrc=self.ssrc,
            fraction_lost=self.stream.fraction_lost(),
            packets_lost=clamp_packets_lost(self.stream.packets_lost),
            highest_sequence=self.stream.highest & 0xFFFFFFFF,
            jitter=self.stream.jitter_units,
            lsr=lsr,
            dlsr=dlsr,
        )
        data = bytes(RtcpRrPacket(ssrc=self._reporter_ssrc, reports=[info]))
        if self.kind == "video":
            # Without transport-wide feedback Chromium stays near 300 kbit/s unless told more.
            data += bytes(
                RtcpPsfbPacket(
                    fmt=RTCP_PSFB_APP,
                    ssrc=self._reporter_ssrc,
                    media_ssrc=0,
                    fci=pack_remb_fci(self._max_bitrate, [self.ssrc]),
                )
            )
        self._send_rtcp(data)

    def _count_lost(self) -> None:
        self._totals.lost_packets_in += self.stream.newly_lost()

    def close(self) -> None:
        """Leave every subscriber."""
        self._count_lost()
        for downtrack in list(self.downtracks):
            downtrack.detach()

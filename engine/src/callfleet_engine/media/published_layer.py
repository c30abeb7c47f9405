"""One encoding that a publisher sends: an SSRC with its numbers, its losses and its takers.

No I/O: feedback goes out through `send_rtcp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    clamp_packets_lost,
)

from callfleet_engine.media.inbound import InboundStream
from callfleet_engine.media.layers import RateMeter
from callfleet_engine.media.packet import PacketRing
from callfleet_engine.media.timeline import SenderClock

if TYPE_CHECKING:
    from callfleet_engine.media.downtrack import DownTrack
    from callfleet_engine.media.published import PublishedTrack

KEYFRAME_INTERVAL_SECONDS = 0.5
IDLE_SECONDS = 3.0
"""Whoever sends nothing for this long sends a keyframe no sooner for being asked."""


class PublishedLayer:
    """An SSRC of a track. A track without simulcast has one, of index 0 and without a RID.

    `takers` are sent its packets; `waiting` are those who begin with its next keyframe.
    """

    __slots__ = (
        "_keyframe_wanted",
        "_last_keyframe_request",
        "_last_report",
        "_reporter_ssrc",
        "_send_rtcp",
        "clock",
        "held_back_until",
        "index",
        "last_packet",
        "nack_count",
        "pli_count",
        "rate",
        "rid",
        "ring",
        "ssrc",
        "stream",
        "takers",
        "track",
        "waiting",
    )

    def __init__(
        self,
        track: PublishedTrack,
        *,
        index: int,
        rid: str,
        ssrc: int,
        reporter_ssrc: int,
        send_rtcp: Callable[[bytes], bool],
    ) -> None:
        self.track = track
        self.index = index
        self.rid = rid
        self.ssrc = ssrc
        self.stream = InboundStream(track.clock_rate)
        self.ring = PacketRing()
        self.rate = RateMeter()
        self.clock: SenderClock | None = None
        """Of the last sender report."""
        self.last_packet = 0.0
        self.held_back_until = -1
        """Extended sequence number of the last packet that was not forwarded, being muted."""
        self.nack_count = 0
        self.pli_count = 0
        self.takers: list[DownTrack] = []
        self.waiting: list[DownTrack] = []
        self._reporter_ssrc = reporter_ssrc
        self._send_rtcp = send_rtcp
        self._last_keyframe_request = float("-inf")
        self._keyframe_wanted = False
        self._last_report: tuple[int, float] | None = None

    def number(
        self, sequence: int, timestamp: int, now: float, size: int, *, again: bool
    ) -> int | None:
        """The extended number of a packet; None of one that came by RTX and was not missing."""
        if again:
            return self.stream.recover(sequence, now)
        self.last_packet = now
        return self.stream.add(sequence, timestamp, now, size)

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of a video, at most once in half a second."""
        if self.track.kind != "video":
            return
        self._keyframe_wanted = True
        if now - self._last_keyframe_request < KEYFRAME_INTERVAL_SECONDS:
            return
        request = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=self._reporter_ssrc, media_ssrc=self.ssrc)
        if self._send_rtcp(bytes(request)):
            self._keyframe_wanted = False
            self._last_keyframe_request = now
            self.pli_count += 1

    def ask_again(self, now: float) -> None:
        """Ask for the packets that are missing of a video."""
        if self.track.kind != "video":
            return
        if lost := self.stream.nack(now):
            self.nack_count += 1
            self._send_rtcp(
                bytes(
                    RtcpRtpfbPacket(
                        fmt=RTCP_RTPFB_NACK,
                        ssrc=self._reporter_ssrc,
                        media_ssrc=self.ssrc,
                        # aiortc cannot write numbers on both sides of the wrap in that order.
                        lost=sorted(lost),
                    )
                )
            )

    def sender_report(self, info: RtcpSenderInfo, now: float) -> None:
        """Take the publisher's sender report and pass it on."""
        self._last_report = ((info.ntp_timestamp >> 16) & 0xFFFFFFFF, now)
        self.clock = SenderClock(info.ntp_timestamp, info.rtp_timestamp)
        for downtrack in self.takers:
            downtrack.report_sent(info, now)

    def introduce(self, downtrack: DownTrack, now: float) -> None:
        """Tell a new taker at once what moments its timestamps stand for (RFC 3550 section 6.4.1).

        The next report of the publisher may be seconds away.
        """
        if self.clock is None or self._last_report is None:
            return
        elapsed = now - self._last_report[1]
        info = RtcpSenderInfo(
            ntp_timestamp=(self.clock.ntp + int(elapsed * (1 << 32))) & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=(self.clock.rtp + int(elapsed * self.track.clock_rate)) & 0xFFFFFFFF,
            packet_count=0,
            octet_count=0,
        )
        downtrack.report_sent(info, now)

    def tick(self, now: float) -> None:
        """Ten times a second: repeat what is still wanted."""
        self.rate.sample(now, self.stream.bytes_received)
        self.ring.tick()
        awaited = self.waiting and now - self.last_packet < IDLE_SECONDS
        if self._keyframe_wanted or awaited:
            self.request_keyframe(now)
        if self.stream.has_missing:
            self.ask_again(now)

    def report(self, now: float) -> RtcpReceiverInfo | None:
        """How it is received (RFC 3550 section 6.4.1); None before the first packet."""
        if self.stream.packets_received == 0:
            return None
        lsr, dlsr = 0, 0
        if self._last_report is not None:
            lsr = self._last_report[0]
            dlsr = int((now - self._last_report[1]) * 65536) & 0xFFFFFFFF
        return RtcpReceiverInfo(
            ssrc=self.ssrc,
            fraction_lost=self.stream.fraction_lost(),
            packets_lost=clamp_packets_lost(self.stream.packets_lost),
            highest_sequence=self.stream.highest & 0xFFFFFFFF,
            jitter=self.stream.jitter_units,
            lsr=lsr,
            dlsr=dlsr,
        )

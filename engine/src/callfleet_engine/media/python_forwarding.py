"""Packets moved in Python: the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)

from callfleet_engine.media import rtcp, rtp
from callfleet_engine.media.downtrack import DownTrack
from callfleet_engine.media.egress import Egress
from callfleet_engine.media.link import Link
from callfleet_engine.media.publishing import Publishing
from callfleet_engine.media.totals import Totals
from callfleet_engine.media.transport_feedback import TransportFeedback


class PythonForwarding:
    """See `Forwarding`. `clock` tells the time in seconds."""

    def __init__(self, totals: Totals, max_bitrate: int, clock: Callable[[], float]) -> None:
        self._totals = totals
        self._max_bitrate = max_bitrate
        self._clock = clock

    def publishing(self, participant: str) -> Publishing:
        """Of a new participant."""
        return Publishing(participant, self._totals, self._max_bitrate)

    def subscribing(self, link: Link) -> PythonTransport:
        """Of a new link."""
        return PythonTransport(link, self._totals, self._clock)


class PythonTransport(Egress):
    """See `SubscribingTransport`."""

    def __init__(self, link: Link, totals: Totals, clock: Callable[[], float]) -> None:
        super().__init__(link.send_rtp, clock)
        self.malformed = 0
        self._send_rtcp = link.send_rtcp
        self._totals = totals
        self._by_ssrc: dict[int, DownTrack] = {}

    def downtrack(self, ssrc: int) -> DownTrack:
        """A new m-line."""
        made = DownTrack(ssrc, self.send, self.send_again, self._send_rtcp, self._totals)
        self._by_ssrc[ssrc] = made
        return made

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet: reports, NACK, PLI and FIR."""
        try:
            packets = rtcp.parse(data)
        except ValueError:
            self.malformed += 1
            return
        for packet in packets:
            self._rtcp(packet, now)

    def _rtcp(self, packet: AnyRtcpPacket | TransportFeedback, now: float) -> None:
        if isinstance(packet, TransportFeedback):
            self.feedback(packet, now)
        elif isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                self._reported(report, now)
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            if downtrack := self._by_ssrc.get(packet.media_ssrc):
                downtrack.retransmit(packet.lost)
        elif isinstance(packet, RtcpPsfbPacket):
            self._payload_feedback(packet, now)

    def _reported(self, report: RtcpReceiverInfo, now: float) -> None:
        downtrack = self._by_ssrc.get(report.ssrc)
        if downtrack is None:
            return
        downtrack.report_received(report, now)
        if downtrack.round_trip_time is not None:
            self.measured_round_trip(downtrack.round_trip_time)
        self.fraction_lost(report.fraction_lost / 256, now)

    def _payload_feedback(self, packet: RtcpPsfbPacket, now: float) -> None:
        if (bitrate := rtcp.remb(packet)) is not None:
            self.remb(bitrate, now)
        for ssrc in _keyframe_ssrcs(packet):
            if downtrack := self._by_ssrc.get(ssrc):
                downtrack.request_keyframe(now)

    def tick(self, *, next_step: float | None, now: float) -> None:
        """Ten times a second; to give out more than now would need `next_step` bit/s."""
        for downtrack in self._by_ssrc.values():
            downtrack.refill()
        super().tick(next_step=next_step, now=now)


def _keyframe_ssrcs(packet: RtcpPsfbPacket) -> Sequence[int]:
    """Whom a PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1) means."""
    if packet.fmt == RTCP_PSFB_PLI:
        return [packet.media_ssrc]
    if packet.fmt == RTCP_PSFB_FIR:
        return [rtp.SSRC.unpack_from(packet.fci, at)[0] for at in range(0, len(packet.fci) - 7, 8)]
    return []

"""The subscribing half of a participant: one peer connection that the server offers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)

from callfleet_engine.media import rtp
from callfleet_engine.media.codec import payload_types
from callfleet_engine.media.downtrack import DownTrack
from callfleet_engine.media.interface import Kind, OutboundStats, SubscribedTrack
from callfleet_engine.media.link import Link
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.publishing import MAX_RTCP_PACKETS
from callfleet_engine.media.seams import MediaLine, NegotiatedMedia
from callfleet_engine.media.slots import Slots
from callfleet_engine.media.totals import Totals

KINDS: tuple[Kind, Kind] = ("audio", "video")
Publishers = Mapping[str, Mapping[Kind, PublishedTrack]]


@dataclass(slots=True)
class Line:
    """One m-line and what is sent on it."""

    media: MediaLine
    downtrack: DownTrack


class Subscribing:
    """The m-line pairs of one subscriber: what was offered, what was answered, what is sent."""

    def __init__(self, link: Link, totals: Totals) -> None:
        self.link = link
        self._totals = totals
        self._slots = Slots()
        self._lines: list[dict[Kind, Line]] = []
        self._by_ssrc: dict[int, DownTrack] = {}
        self._offered: dict[tuple[str, Kind], Line] = {}
        self._negotiated: dict[str, NegotiatedMedia] = {}
        self.malformed = 0

    @staticmethod
    def wanted(publishers: Publishers) -> frozenset[tuple[str, Kind]]:
        """What an offer must hold to be right for these publishers."""
        return frozenset((name, kind) for name, tracks in publishers.items() for kind in tracks)

    @property
    def offered(self) -> frozenset[tuple[str, Kind]]:
        """What the last offer held."""
        return frozenset(self._offered)

    async def offer(self, publishers: Publishers) -> str:
        """Make the next offer: one pair of m-lines for each publisher."""
        self._slots.assign(list(publishers))
        while len(self._lines) < len(self._slots.publishers):
            self._lines.append({kind: self._new_line(kind) for kind in KINDS})
        offered = {}
        for publisher, pair in zip(self._slots.publishers, self._lines, strict=True):
            for kind, line in pair.items():
                sends = publisher is not None and kind in publishers[publisher]
                line.media.offer_stream(publisher if sends else None)
                if publisher is not None and sends:
                    offered[publisher, kind] = line
        self._offered = offered
        sdp = await self.link.pc.make_offer()
        for pair in self._lines:
            for line in pair.values():
                line.downtrack.mid = line.media.mid
        return sdp

    def _new_line(self, kind: Kind) -> Line:
        media = self.link.pc.add_line(kind)
        downtrack = DownTrack(media.ssrc, self.link.send_rtp, self.link.send_rtcp, self._totals)
        self._by_ssrc[media.ssrc] = downtrack
        return Line(media, downtrack)

    def tracks(self) -> tuple[SubscribedTrack, ...]:
        """What the last offer holds, in the order of its m-lines."""
        return tuple(
            SubscribedTrack(mid=line.downtrack.mid, participant=publisher, kind=kind)
            for (publisher, kind), line in self._offered.items()
        )

    async def answered(self, sdp: str, publishers: Publishers, now: float) -> None:
        """Take the answer to the last offer and send what it accepts."""
        await self.link.pc.take_answer(sdp)
        self._negotiated = self.link.pc.negotiated()
        self.connect(publishers, now)

    def connect(self, publishers: Publishers, now: float) -> None:
        """Attach each m-line to what it was offered for, as far as that is published still.

        Called when an answer came, when media can flow, and when a publisher renegotiated.
        """
        if not self.link.connected:
            return
        attached = {}
        for (publisher, kind), line in self._offered.items():
            track = publishers.get(publisher, {}).get(kind)
            media = self._negotiated.get(line.downtrack.mid)
            if track is not None and track.media is not None and media is not None and media.sends:
                attached[id(line)] = (track, payload_types(track.media.codecs, media.codecs))
        for pair in self._lines:
            for line in pair.values():
                self._attach(line.downtrack, attached.get(id(line)), now)

    @staticmethod
    def _attach(
        downtrack: DownTrack, target: tuple[PublishedTrack, dict[int, int]] | None, now: float
    ) -> None:
        if target is None:
            downtrack.detach()
            return
        track, mapping = target
        if downtrack.track is track:
            downtrack.payload_types = mapping
            return
        downtrack.attach(track, mapping)
        track.request_keyframe(now)

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet: reports, NACK, PLI and FIR."""
        try:
            packets = RtcpPacket.parse(data)
        except (ValueError, struct.error):
            self.malformed += 1
            return
        for packet in packets[:MAX_RTCP_PACKETS]:
            self._rtcp(packet, now)

    def _rtcp(self, packet: AnyRtcpPacket, now: float) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if downtrack := self._by_ssrc.get(report.ssrc):
                    downtrack.report_received(report, now)
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            if downtrack := self._by_ssrc.get(packet.media_ssrc):
                downtrack.retransmit(packet.lost)
        elif isinstance(packet, RtcpPsfbPacket):
            for ssrc in _keyframe_ssrcs(packet):
                if downtrack := self._by_ssrc.get(ssrc):
                    downtrack.request_keyframe(now)

    def request_keyframes(self, now: float) -> None:
        """Ask the publishers for a fresh start of every video that is sent."""
        for downtrack in self._by_ssrc.values():
            if downtrack.track is not None:
                downtrack.track.request_keyframe(now)

    def tick(self) -> None:
        """Ten times a second."""
        for downtrack in self._by_ssrc.values():
            downtrack.refill()

    def stats(self) -> tuple[OutboundStats, ...]:
        """One for each m-line that sends."""
        return tuple(
            OutboundStats(
                kind=d.track.kind,
                mid=d.mid,
                participant=d.track.participant,
                ssrc=d.ssrc,
                mime_type=d.track.mime_type,
                packets_sent=d.packets_sent,
                bytes_sent=d.bytes_sent,
                retransmitted_packets_sent=d.retransmitted,
                nack_count=d.nack_count,
                pli_count=d.pli_count,
                packets_lost=d.remote.packets_lost if d.remote else None,
                jitter=d.remote.jitter / d.clock_rate if d.remote else None,
                round_trip_time=d.round_trip_time,
            )
            for d in self._by_ssrc.values()
            if d.track is not None
        )

    def close(self) -> None:
        """Take nothing any more."""
        for downtrack in self._by_ssrc.values():
            downtrack.detach()


def _keyframe_ssrcs(packet: RtcpPsfbPacket) -> Sequence[int]:
    """Whom a PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1) means."""
    if packet.fmt == RTCP_PSFB_PLI:
        return [packet.media_ssrc]
    if packet.fmt == RTCP_PSFB_FIR:
        return [rtp.SSRC.unpack_from(packet.fci, at)[0] for at in range(0, len(packet.fci) - 7, 8)]
    return []

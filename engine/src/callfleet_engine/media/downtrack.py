"""One published track as one subscriber gets it: its own SSRC, payload type and numbering.

The stream that a subscriber sees has continuous sequence numbers and timestamps whatever happens
upstream: a pause, another SSRC, another publisher on the same m-line. No I/O.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from aiortc.rtp import (
    RtcpReceiverInfo,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from callfleet_engine.media.rtp import HEADER, MARKER

if TYPE_CHECKING:
    from callfleet_engine.media.published import PublishedTrack
    from callfleet_engine.media.totals import Totals

RETRANSMISSIONS_PER_TICK = 64
SDES_CNAME = 1


class Packet(NamedTuple):
    """A packet as every subscriber gets it but for its header's numbers.

    `extended` is the publisher's extended sequence number, `tail` what follows the first twelve
    bytes, `first` the header's first byte.
    """

    extended: int
    first: int
    marker_and_type: int
    timestamp: int
    tail: bytes


class DownTrack:
    """The sending side of one m-line of a subscriber.

    `send` and `send_rtcp` protect and send; they return False while the transport is not up.
    """

    __slots__ = (
        "_budget",
        "_last_out",
        "_last_time",
        "_last_timestamp",
        "_lost_counted",
        "_oldest",
        "_resume",
        "_send",
        "_send_rtcp",
        "_sent_report",
        "_sequence_offset",
        "_source",
        "_timestamp_offset",
        "_totals",
        "bytes_sent",
        "clock_rate",
        "cname",
        "mid",
        "nack_count",
        "packets_sent",
        "payload_types",
        "pli_count",
        "remote",
        "retransmitted",
        "round_trip_time",
        "ssrc",
        "track",
    )

    def __init__(
        self,
        ssrc: int,
        send: Callable[[bytes], bool],
        send_rtcp: Callable[[bytes], bool],
        totals: Totals,
    ) -> None:
        self.ssrc = ssrc
        self.mid = ""
        self.cname = ""
        self.clock_rate = 90000
        self.track: PublishedTrack | None = None
        self.payload_types: dict[int, int] = {}
        self.packets_sent = 0
        self.bytes_sent = 0
        self.retransmitted = 0
        self.nack_count = 0
        self.pli_count = 0
        self.remote: RtcpReceiverInfo | None = None
        self.round_trip_time: float | None = None
        self._send = send
        self._send_rtcp = send_rtcp
        self._totals = totals
        self._budget = RETRANSMISSIONS_PER_TICK
        # Under 2^15, so that packets lost at once after a wrap do not break the SRTP index
        # (RFC 3711 section 3.3.1).
        self._last_out = 0x10000 + secrets.randbits(15)
        self._last_timestamp = secrets.randbits(32)
        self._last_time = 0.0
        self._sequence_offset = 0
        self._timestamp_offset = 0
        self._oldest = 0
        self._resume = True
        self._source: object = None
        self._sent_report: tuple[int, float] | None = None
        self._lost_counted = 0

    def attach(self, track: PublishedTrack, mapping: dict[int, int]) -> None:
        """Forward `track` from its next packet on; `mapping` leads to the own payload types."""
        self.detach()
        self.track = track
        self.payload_types = mapping
        self.clock_rate = track.clock_rate
        self.cname = track.participant
        self._resume = True
        track.downtracks.append(self)

    def detach(self) -> None:
        """Forward nothing."""
        if self.track is not None:
            self.track.downtracks.remove(self)
            self.track = None

    def resume(self) -> None:
        """The next packet follows the last one sent, whatever its number."""
        self._resume = True

    def forward(self, packet: Packet, source: object, now: float) -> None:
        """Send one packet on. `source` tells one upstream stream from the next."""
        extended, first, marker_and_type, timestamp, tail = packet
        payload_type = self.payload_types.get(marker_and_type & 0x7F)
        if payload_type is None:
            return
        if self._resume or source is not self._source:
            self._renumber(extended, timestamp, source, now)
        elif extended < self._oldest:
            return  # sent before the pause: its number belongs to another packet
        out = extended + self._sequence_offset
        out_timestamp = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        if out > self._last_out:
            self._last_out = out
            self._last_timestamp = out_timestamp
            self._last_time = now
        if self._send(
            HEADER.pack(
                first,
                (marker_and_type & MARKER) | payload_type,
                out & 0xFFFF,
                out_timestamp,
                self.ssrc,
            )
            + tail
        ):
            self.packets_sent += 1
            self.bytes_sent += len(tail)
            self._totals.forwarded_packets += 1
            self._totals.forwarded_bytes += len(tail)

    def _renumber(self, extended: int, timestamp: int, source: object, now: float) -> None:
        self._sequence_offset = self._last_out + 1 - extended
        self._oldest = extended
        if source is not self._source:
            elapsed = int((now - self._last_time) * self.clock_rate) if self._last_time else 0
            self._timestamp_offset = (self._last_timestamp + max(elapsed, 1)) - timestamp
            self._source = source
        self._resume = False

    def retransmit(self, lost: list[int]) -> None:
        """Answer a NACK (RFC 4585 section 6.2.1) from the publisher's ring."""
        self.nack_count += 1
        if self.track is None:
            return
        for sequence in lost:
            if self._budget == 0:
                return
            out = self._last_out - ((self._last_out - sequence) & 0xFFFF)
            packet = self.track.ring.find(out - self._sequence_offset)
            if packet is None or packet.extended < self._oldest:
                continue
            payload_type = self.payload_types.get(packet.marker_and_type & 0x7F)
            if payload_type is None:
                continue
            self._budget -= 1
            header = HEADER.pack(
                packet.first,
                (packet.marker_and_type & MARKER) | payload_type,
                sequence,
                (packet.timestamp + self._timestamp_offset) & 0xFFFFFFFF,
                self.ssrc,
            )
            if self._send(header + packet.tail):
                self.retransmitted += 1

    def refill(self) -> None:
        """Allow the next tick's retransmissions."""
        self._budget = RETRANSMISSIONS_PER_TICK

    def request_keyframe(self, now: float) -> None:
        """Pass on a PLI or FIR."""
        self.pli_count += 1
        if self.track is not None:
            self.track.request_keyframe(now)

    def report_sent(self, info: RtcpSenderInfo, source: object, now: float) -> None:
        """Translate the publisher's sender report, so that the subscriber keeps lips in step."""
        if source is not self._source:
            return
        report = RtcpSrPacket(
            ssrc=self.ssrc,
            sender_info=RtcpSenderInfo(
                ntp_timestamp=info.ntp_timestamp,
                rtp_timestamp=(info.rtp_timestamp + self._timestamp_offset) & 0xFFFFFFFF,
                packet_count=self.packets_sent & 0xFFFFFFFF,
                octet_count=self.bytes_sent & 0xFFFFFFFF,
            ),
        )
        names = RtcpSdesPacket(
            chunks=[RtcpSourceInfo(self.ssrc, [(SDES_CNAME, self.cname.encode())])]
        )
        if self._send_rtcp(bytes(report) + bytes(names)):
            self._sent_report = ((info.ntp_timestamp >> 16) & 0xFFFFFFFF, now)

    def report_received(self, report: RtcpReceiverInfo, now: float) -> None:
        """Take the subscriber's receiver report (RFC 3550 section 6.4.1)."""
        self.remote = report
        new = max(report.packets_lost - self._lost_counted, 0)
        self._lost_counted += new
        self._totals.lost_packets_out += new
        if self._sent_report and report.dlsr and report.lsr == self._sent_report[0]:
            self.round_trip_time = max(now - self._sent_report[1] - report.dlsr / 65536, 0.0)

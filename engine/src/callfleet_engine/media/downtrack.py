"""One published track as one subscriber gets it: its own SSRC, payload type and numbering.

The stream that a subscriber sees has continuous sequence numbers, timestamps and picture ids
whatever happens upstream: a pause, another layer, another SSRC, another publisher on the same
m-line. It starts, goes on after a pause and changes layers with keyframes only. No I/O.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from aiortc.rtp import (
    RtcpReceiverInfo,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from callfleet_engine.media.codecs import red
from callfleet_engine.media.codecs.payload import STILL, following, shifted
from callfleet_engine.media.forwarding import DownFigures
from callfleet_engine.media.layers import HIGHEST
from callfleet_engine.media.negotiation import OFFERED_EXTENSIONS
from callfleet_engine.media.numbering import Numbering
from callfleet_engine.media.packet import Packet
from callfleet_engine.media.rtp import HEAD, MARKER, ONE_BYTE, TRANSPORT_NUMBER_URI
from callfleet_engine.media.timeline import SenderClock, continued, same_moments

if TYPE_CHECKING:
    from callfleet_engine.media.published import PublishedTrack
    from callfleet_engine.media.published_layer import PublishedLayer
    from callfleet_engine.media.totals import Totals

RETRANSMISSIONS_PER_TICK = 64
SDES_CNAME = 1
NOTHING_TAKEN: Mapping[int, int] = {}
_NUMBER_ELEMENT = OFFERED_EXTENSIONS[TRANSPORT_NUMBER_URI] << 4 | 1
_head = HEAD.pack


class DownTrack:
    """The sending side of one m-line of a subscriber.

    `send` takes a packet as `rtp.HEAD`, what follows the transport-wide number, and the time;
    `send_again` one that was sent before, and `send_rtcp` a compound packet. They return False
    while the transport is not up.
    """

    __slots__ = (
        "_base",
        "_budget",
        "_chosen",
        "_clocked_by",
        "_last",
        "_last_time",
        "_layer",
        "_lost_counted",
        "_numbering",
        "_send",
        "_send_again",
        "_send_rtcp",
        "_sent_report",
        "_shift",
        "_target",
        "_timestamp_offset",
        "_totals",
        "bytes_sent",
        "clock_rate",
        "cname",
        "mid",
        "most",
        "nack_count",
        "packets_sent",
        "payload_types",
        "pli_count",
        "remote",
        "retransmitted",
        "round_trip_time",
        "ssrc",
        "track",
        "untaken",
        "unwrapped",
    )

    def __init__(
        self,
        ssrc: int,
        send: Callable[[bytes, bytes, float], bool],
        send_again: Callable[[bytes, bytes], bool],
        send_rtcp: Callable[[bytes], bool],
        totals: Totals,
    ) -> None:
        self.ssrc = ssrc
        self.mid = ""
        self.cname = ""
        self.clock_rate = 90000
        self.track: PublishedTrack | None = None
        self.payload_types: Mapping[int, int] = NOTHING_TAKEN
        self.unwrapped: Mapping[int, int] = NOTHING_TAKEN
        """Payload types of RED whose newest block alone is taken, as the type it leads to."""
        self.untaken: int | None = None
        """A payload type that came and that the subscriber cannot take."""
        self.most: int | None = HIGHEST
        """The highest layer that the client wants; None while it wants nothing."""
        self.packets_sent = 0
        self.bytes_sent = 0
        self.retransmitted = 0
        self.nack_count = 0
        self.pli_count = 0
        self.remote: RtcpReceiverInfo | None = None
        self.round_trip_time: float | None = None
        self._send = send
        self._send_again = send_again
        self._send_rtcp = send_rtcp
        self._totals = totals
        self._budget = RETRANSMISSIONS_PER_TICK
        self._chosen: int | None = HIGHEST
        self._layer: PublishedLayer | None = None
        self._target: PublishedLayer | None = None
        # Under 2^15, so that packets lost at once after a wrap do not break the SRTP index
        # (RFC 3711 section 3.3.1).
        self._numbering = Numbering(0x10000 + secrets.randbits(15))
        self._last: Packet | None = None
        self._last_time = 0.0
        self._timestamp_offset = secrets.randbits(32)
        self._clocked_by: PublishedLayer | None = None
        self._base: SenderClock | None = None
        self._shift = STILL
        self._sent_report: tuple[int, float] | None = None
        self._lost_counted = 0

    # what is forwarded

    def attach(
        self,
        track: PublishedTrack,
        mapping: Mapping[int, int],
        unwrapped: Mapping[int, int] = NOTHING_TAKEN,
    ) -> None:
        """Forward `track` from its next keyframe on; `mapping` leads to the own payload types."""
        self.detach()
        self.track = track
        self.accept(mapping, unwrapped)
        self.clock_rate = track.clock_rate
        self.cname = track.participant
        self._base = None
        self._chosen = self.most = HIGHEST
        track.downtracks.append(self)
        self.aim()

    def accept(
        self, mapping: Mapping[int, int], unwrapped: Mapping[int, int] = NOTHING_TAKEN
    ) -> None:
        """What the subscriber takes has been negotiated anew."""
        self.payload_types = mapping
        self.unwrapped = unwrapped
        self.untaken = None

    def detach(self) -> None:
        """Forward nothing."""
        if self.track is not None:
            self._leave()
            self.track.downtracks.remove(self)
            self.track = None

    @property
    def layer(self) -> int | None:
        """The layer that is sent now, None while none is."""
        return self._layer.index if self._layer is not None else None

    @property
    def target(self) -> int | None:
        """The layer that is sent from its next keyframe on; None: paused, or nothing comes."""
        return self._target.index if self._target is not None else None

    @property
    def rid(self) -> str:
        """Of the layer that is sent now, empty without simulcast or while none is."""
        return self._layer.rid if self._layer is not None else ""

    def choose(self, layer: int | None) -> None:
        """Send this layer, or the best one below it, from its next keyframe on; None: pause.

        Until the keyframe comes the present layer goes on.
        """
        if layer != self._chosen:
            self._chosen = layer
            self.aim()

    def aim(self) -> None:
        """Find the chosen layer among those there are: it was chosen, or they have changed."""
        target = None
        if self.track is not None and self._chosen is not None:
            target = self.track.layer_for(self._chosen)
        if target is self._target:
            return
        if target is None:
            self._leave()
            return
        if self._target is not None and self._target is not self._layer:
            self._target.waiting.remove(self)
        self._target = target
        if target is not self._layer:
            target.waiting.append(self)

    def _leave(self) -> None:
        if self._target is not None and self._target is not self._layer:
            self._target.waiting.remove(self)
        if self._layer is not None:
            self._layer.takers.remove(self)
        self._layer = self._target = None

    def resume(self) -> None:
        """After a pause of the publisher: go on with the next keyframe."""
        self._leave()
        self.aim()

    def begin(self, layer: PublishedLayer, packet: Packet, now: float) -> None:
        """`packet`, which is to be forwarded next, starts a keyframe of the target.

        `layer` moves the track from its `waiting` to its `takers`.
        """
        if self._layer is not None:
            self._layer.takers.remove(self)
        before, last = self._clocked_by, self._last
        self._layer = self._target = layer
        self._numbering.begin(packet.extended)
        if last is None:
            self._timestamp_offset -= packet.timestamp
        else:
            wished: int | None = self._timestamp_offset
            if layer is not before:
                wished = self._by_reports(before, layer)
            self._timestamp_offset = continued(
                packet.timestamp,
                last.timestamp + self._timestamp_offset,
                ticks=round((now - self._last_time) * self.clock_rate),
                clock_rate=self.clock_rate,
                wished=wished,
            )
            if packet.marks is not None and last.marks is not None:
                self._shift = following(packet.marks, last.marks, self._shift)
        self._clocked_by = layer

    def _by_reports(self, before: PublishedLayer | None, layer: PublishedLayer) -> int | None:
        if self._base is None and before is not None and before.track is layer.track:
            if before.clock is None:
                return None
            ntp, rtp = before.clock
            # Kept for all later switches, so that their rounding does not add up.
            self._base = SenderClock(ntp, rtp + self._timestamp_offset)
        if self._base is None or layer.clock is None:
            return None
        return same_moments(self._base, layer.clock, self.clock_rate)

    # packets

    def forward(self, packet: Packet, now: float) -> int:
        """Send one packet on; returns the bytes behind the transport-wide number, 0 if none went.

        Those who hand on a packet add that to the plane's totals.
        """
        extended, first, marker_and_type, timestamp, words, tail, payload_at, marks = packet
        payload_type = self.payload_types.get(marker_and_type & 0x7F)
        if payload_type is None:
            payload_type = self.unwrapped.get(marker_and_type & 0x7F)
            if payload_type is None:
                self.untaken = marker_and_type & 0x7F
                return 0
            tail = tail[:payload_at] + red.primary(tail[payload_at:])
        numbering = self._numbering
        if extended > numbering.edge:
            out = extended + numbering.offset
            if out > numbering.sent:
                numbering.sent = out
                self._last = packet
                self._last_time = now
        else:
            number = numbering.late(extended)
            if number is None:
                return 0  # of a time before the pause or the switch
            out = number
        if marks is not None and self._shift is not STILL:
            tail = shifted(tail, payload_at, marks, self._shift)
        head = _head(
            first,
            (marker_and_type & MARKER) | payload_type,
            out & 0xFFFF,
            (timestamp + self._timestamp_offset) & 0xFFFFFFFF,
            self.ssrc,
            ONE_BYTE,
            words,
            _NUMBER_ELEMENT,
        )
        if not self._send(head, tail, now):
            return 0
        size = len(tail)
        self.packets_sent += 1
        self.bytes_sent += size
        return size

    def skip(self, padding: Packet, now: float) -> int:
        """A packet of nothing but padding: leave it out, or fill its number if that is fixed."""
        return 0 if self._numbering.skip(padding.extended) else self.forward(padding, now)

    def retransmit(self, lost: list[int]) -> None:
        """Answer a NACK (RFC 4585 section 6.2.1) from the layer's ring."""
        self.nack_count += 1
        layer = self._clocked_by
        if self.track is None or layer is None:
            return
        sent = self._numbering.sent
        for sequence in lost:
            if self._budget == 0:
                return
            extended = self._numbering.source(sent - ((sent - sequence) & 0xFFFF))
            packet = None if extended is None else layer.ring.find(extended)
            if packet is None:
                continue
            payload_type = self.payload_types.get(packet.marker_and_type & 0x7F)
            if payload_type is None:
                continue
            self._budget -= 1
            tail = packet.tail
            if packet.marks is not None and self._shift is not STILL:
                tail = shifted(tail, packet.payload_at, packet.marks, self._shift)
            head = _head(
                packet.first,
                (packet.marker_and_type & MARKER) | payload_type,
                sequence,
                (packet.timestamp + self._timestamp_offset) & 0xFFFFFFFF,
                self.ssrc,
                ONE_BYTE,
                packet.words,
                _NUMBER_ELEMENT,
            )
            if self._send_again(head, tail):
                self.retransmitted += 1

    def refill(self) -> None:
        """Allow the next tick's retransmissions."""
        self._budget = RETRANSMISSIONS_PER_TICK

    def request_keyframe(self, now: float) -> None:
        """Pass on a PLI or FIR to the layer that is sent."""
        self.pli_count += 1
        self.want_keyframe(now)

    def want_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of the layer that is sent."""
        layer = self._layer or self._target
        if layer is not None:
            layer.request_keyframe(now)

    def report_sent(self, info: RtcpSenderInfo, now: float) -> None:
        """Translate the publisher's sender report, so that the subscriber keeps lips in step."""
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

    def figures(self) -> DownFigures:
        """Totals, and what the client reported."""
        return DownFigures(
            packets_sent=self.packets_sent,
            bytes_sent=self.bytes_sent,
            retransmitted=self.retransmitted,
            nack_count=self.nack_count,
            pli_count=self.pli_count,
            packets_lost=self.remote.packets_lost if self.remote else None,
            jitter=self.remote.jitter / self.clock_rate if self.remote else None,
            round_trip_time=self.round_trip_time,
        )

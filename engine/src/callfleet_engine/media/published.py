"""One track that a participant publishes: received once, handed to each subscriber's downtrack.

No I/O: packets come in with the time, feedback goes out through `send_rtcp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, RtcpRrPacket, pack_remb_fci

from callfleet_engine.media import rtp
from callfleet_engine.media.codecs import READERS, red
from callfleet_engine.media.codecs.payload import ANYWHERE, Reader
from callfleet_engine.media.interface import KIND_OF
from callfleet_engine.media.layers import LayerState, lively, ordered
from callfleet_engine.media.negotiation import FORWARDED_EXTENSIONS, OFFERED_EXTENSIONS, OPUS
from callfleet_engine.media.packet import Packet
from callfleet_engine.media.published_layer import PublishedLayer

if TYPE_CHECKING:
    from callfleet_engine.media.downtrack import DownTrack
    from callfleet_engine.media.interface import Source
    from callfleet_engine.media.seams import NegotiatedMedia
    from callfleet_engine.media.totals import Totals

_AUDIO_LEVEL_ID = OFFERED_EXTENSIONS[rtp.AUDIO_LEVEL_URI]
_ABS_SEND_TIME_ID = OFFERED_EXTENSIONS[rtp.ABS_SEND_TIME_URI]
_PADDED = 0x80 | rtp.PADDING | rtp.EXTENSION
_EMPTY = b"\0\x01"
"""Behind the transport-wide number: its fourth byte, and padding of one byte, which counts itself
(RFC 3550 section 5.1)."""


class PublishedTrack:
    """The receiving side of one m-line of a publisher, with a layer for each encoding.

    `reporter_ssrc` is the server's own SSRC in feedback to this publisher.
    """

    def __init__(
        self,
        *,
        participant: str,
        source: Source,
        reporter_ssrc: int,
        send_rtcp: Callable[[bytes], bool],
        totals: Totals,
        max_bitrate: int,
    ) -> None:
        self.participant = participant
        self.source = source
        self.kind = KIND_OF[source]
        self.mid = ""
        self.clock_rate = 48000 if self.kind == "audio" else 90000
        self.media: NegotiatedMedia | None = None
        self.rids: tuple[str, ...] = ()
        """Of a simulcast, from the lowest quality to the highest."""
        self.layers: list[PublishedLayer] = []
        """Those that have come so far, from the lowest."""
        self.states: tuple[LayerState, ...] = ()
        """What came in at the last tick, from the lowest layer."""
        self.downtracks: list[DownTrack] = []
        self.sending = True
        self.payload_type = -1
        self._loudest = rtp.SILENCE
        self._reporter_ssrc = reporter_ssrc
        self._send_rtcp = send_rtcp
        self._totals = totals
        self.max_bitrate = max_bitrate
        self._audio_level_id: int | None = None
        self._forwarded: dict[int, int] = {}
        self._readers: dict[int, Reader] = {}
        self._redundant: int | None = None

    def negotiated(self, media: NegotiatedMedia, rids: tuple[str, ...] = ()) -> None:
        """Take the result of an offer and answer; `rids` as the offer declared them."""
        self.mid = media.mid
        self.media = media
        found = ordered(rids)
        if found != self.rids:
            for layer in list(self.layers):
                self.drop(layer)
            self.rids = found
        ids = media.extensions
        self._audio_level_id = ids.get(rtp.AUDIO_LEVEL_URI)
        self._forwarded = {
            ids[uri]: OFFERED_EXTENSIONS[uri] for uri in FORWARDED_EXTENSIONS if uri in ids
        }
        self._readers = {
            codec.payloadType: READERS[codec.mimeType.lower()]
            for codec in media.codecs
            if codec.payloadType is not None and codec.mimeType.lower() in READERS
        }
        self._redundant = next(
            (c.payloadType for c in media.codecs if c.mimeType.lower() == "audio/red"), None
        )

    def takes(self, payload_type: int) -> bool:
        """Whether the publisher may send this payload type on this m-line."""
        return self.media is not None and any(
            codec.payloadType == payload_type for codec in self.media.codecs
        )

    @property
    def mime_type(self) -> str:
        """The codec of the last packet, empty before the first."""
        return self.mime_type_of(self.payload_type)

    def mime_type_of(self, payload_type: int) -> str:
        """The codec of a payload type of this publisher, empty if it has none."""
        codecs = self.media.codecs if self.media is not None else ()
        return next((c.mimeType for c in codecs if c.payloadType == payload_type), "")

    # layers

    def use_ssrc(self, ssrc: int, rid: str = "") -> PublishedLayer:
        """Receive this SSRC as the layer of that RID; another one before it is over."""
        index = self.rids.index(rid) if rid in self.rids else 0
        before = next((layer for layer in self.layers if layer.index == index), None)
        if before is not None:
            if before.ssrc == ssrc:
                return before
            self.drop(before)
        layer = PublishedLayer(
            self,
            index=index,
            rid=rid,
            ssrc=ssrc,
            reporter_ssrc=self._reporter_ssrc,
            send_rtcp=self._send_rtcp,
        )
        self.layers.append(layer)
        self.layers.sort(key=lambda each: each.index)
        self._layers_changed()
        return layer

    def drop(self, layer: PublishedLayer) -> None:
        """That SSRC is over."""
        self._totals.lost_packets_in += layer.stream.newly_lost()
        self.layers.remove(layer)
        for downtrack in [*layer.takers, *layer.waiting]:
            downtrack.resume()

    def _layers_changed(self) -> None:
        for downtrack in self.downtracks:
            downtrack.aim()

    def layer_for(self, most: int) -> PublishedLayer | None:
        """The best layer of at most `most`, else the lowest; None before the first has come."""
        under = [layer for layer in self.layers if layer.index <= most]
        return under[-1] if under else next(iter(self.layers), None)

    def set_sending(self, sending: bool) -> None:
        """Forward, or hold back what comes (muted)."""
        if sending == self.sending:
            return
        self.sending = sending
        self._loudest = rtp.SILENCE
        if sending:
            for layer in self.layers:
                layer.held_back_until = layer.stream.highest
            for downtrack in self.downtracks:
                downtrack.resume()

    # packets

    def receive(
        self, layer: PublishedLayer, data: bytes, now: float, *, again: bool = False
    ) -> None:
        """Take one unprotected RTP packet; `again` if it came by RTX.

        Raises ValueError if its header is truncated.
        """
        first, marker_and_type, sequence, timestamp, _ = rtp.HEADER.unpack_from(data)
        payload_at = rtp.payload_offset(data)
        extended = layer.number(sequence, timestamp, now, len(data) - payload_at, again=again)
        if extended is None:
            return
        self._totals.received_packets += 1
        video = self.kind == "video"
        if video and layer.stream.has_missing:
            layer.ask_again(now)
        if not self.sending:
            return
        if len(data) - payload_at <= (data[-1] if first & rtp.PADDING else 0):
            self._padding(layer, extended, marker_and_type, timestamp, now)
            return
        payload_type = self.payload_type = marker_and_type & 0x7F
        payload = data[payload_at:]
        if payload_type == self._redundant:
            payload = red.with_payload_type(payload, OPUS)
        elements = self._elements(data, now)
        reader = self._readers.get(payload_type)
        starts, marks = ANYWHERE if reader is None else reader(payload)
        packet = Packet(
            extended,
            (first & rtp.VERSION_AND_PADDING) | rtp.EXTENSION,
            marker_and_type,
            timestamp,
            1 + len(elements) // 4,
            b"\0" + elements + payload,
            1 + len(elements),
            marks,
        )
        if video:
            layer.ring.store(packet)
        self._forward(layer, packet, now)
        if starts and layer.waiting and extended > layer.held_back_until:
            self._begin(layer, packet, now)

    def _elements(self, data: bytes, now: float) -> bytes:
        """Header extensions for subscribers behind the transport-wide number, in whole words."""
        if self.kind == "audio":
            return self._audio_level(data)
        # Each publisher has a clock of its own: what a subscriber estimates from must be ours.
        elements = rtp.abs_send_time_element(_ABS_SEND_TIME_ID, now)
        if self._forwarded and (mapped := rtp.mapped(data, self._forwarded)):
            elements += mapped.ljust((len(mapped) + 3) & ~3, b"\0")
        return elements

    def _forward(self, layer: PublishedLayer, packet: Packet, now: float) -> None:
        packets = size = 0
        for downtrack in layer.takers:
            if sent := downtrack.forward(packet, now):
                packets += 1
                size += sent
        self._totals.forwarded_packets += packets
        self._totals.forwarded_bytes += size

    def _begin(self, layer: PublishedLayer, packet: Packet, now: float) -> None:
        """Those who wait get this packet, and what came before it in spite of a higher number."""
        begun, layer.waiting = layer.waiting, []
        later = (layer.ring.find(n) for n in range(packet.extended + 1, layer.stream.highest + 1))
        packets = [packet, *(each for each in later if each is not None)]
        for downtrack in begun:
            downtrack.begin(layer, packet, now)
            for each in packets:
                self._totals.forwarded(downtrack.forward(each, now))
            layer.introduce(downtrack, now)
        layer.takers.extend(begun)

    def _padding(
        self,
        layer: PublishedLayer,
        extended: int,
        marker_and_type: int,
        timestamp: int,
        now: float,
    ) -> None:
        packet = Packet(extended, _PADDED, marker_and_type, timestamp, 1, _EMPTY, 1, None)
        for downtrack in layer.takers:
            self._totals.forwarded(downtrack.skip(packet, now))

    def _audio_level(self, data: bytes) -> bytes:
        if self._audio_level_id is None:
            return b""
        value = rtp.extension(data, self._audio_level_id)
        if not value:
            return b""
        self._loudest = min(self._loudest, value[0] & 0x7F)
        return rtp.audio_level_element(_AUDIO_LEVEL_ID, value[0])

    def take_loudest(self) -> int:
        """The highest audio level since the last call, in -dBov (0 the loudest, 127 silence)."""
        loudest, self._loudest = self._loudest, rtp.SILENCE
        return loudest

    # feedback

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of each layer that somebody gets."""
        for layer in self.layers:
            if layer.takers or layer.waiting:
                layer.request_keyframe(now)

    def tick(self, now: float) -> None:
        """Ten times a second: repeat what is still wanted."""
        for layer in self.layers:
            layer.tick(now)
        live = lively([layer.last_packet for layer in self.layers])
        self.states = tuple(
            LayerState(layer.index, layer.rid, sent, layer.rate.bitrate)
            for layer, sent in zip(self.layers, live, strict=True)
        )

    def report(self, now: float, estimate: float | None = None) -> None:
        """Once a second: tell the publisher how it is received, and how much it may send.

        `estimate` is what its path carries in bit/s, None if nobody knows of a limit.
        """
        reports = []
        for layer in self.layers:
            if (info := layer.report(now)) is not None:
                self._totals.lost_packets_in += layer.stream.newly_lost()
                self._totals.observe_jitter(layer.stream.jitter_seconds)
                reports.append(info)
        if not reports:
            return
        data = bytes(RtcpRrPacket(ssrc=self._reporter_ssrc, reports=reports))
        if self.kind == "video":
            # Without this and transport-wide feedback Chromium stays near 300 kbit/s.
            bitrate = self.max_bitrate if estimate is None else min(self.max_bitrate, estimate)
            ssrcs = [info.ssrc for info in reports]
            data += bytes(
                RtcpPsfbPacket(
                    fmt=RTCP_PSFB_APP,
                    ssrc=self._reporter_ssrc,
                    media_ssrc=0,
                    fci=pack_remb_fci(int(bitrate), ssrcs),
                )
            )
        self._send_rtcp(data)

    def close(self) -> None:
        """Leave every subscriber."""
        for layer in self.layers:
            self._totals.lost_packets_in += layer.stream.newly_lost()
        for downtrack in list(self.downtracks):
            downtrack.detach()

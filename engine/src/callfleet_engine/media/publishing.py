"""The publishing half of a participant: one peer connection that the client offers."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable

from aiortc.rtp import RtcpSrPacket

from callfleet_engine.media import rtcp, rtp
from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.ingress import Ingress
from callfleet_engine.media.interface import KIND_OF, InboundStats, Source
from callfleet_engine.media.link import Link
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.published_layer import PublishedLayer
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.totals import Totals

log = logging.getLogger(__name__)

SILENT_SECONDS = 1.0


class Publishing:
    """The tracks of one publisher and the way of each packet to its track."""

    def __init__(self, participant: str, totals: Totals, max_bitrate: int) -> None:
        self._participant = participant
        self._totals = totals
        self.max_bitrate = max_bitrate
        self._reporter_ssrc = secrets.randbits(32)
        self._ingress = Ingress(self._reporter_ssrc, self._ssrc_of)
        self._send_rtcp: Callable[[bytes], bool] | None = None
        self._by_ssrc: dict[int, PublishedLayer] = {}
        self._by_mid: dict[str, PublishedTrack] = {}
        self._mid_extensions: set[int] = set()
        self._rid_extensions: set[int] = set()
        self._sending: dict[Source, bool] = dict.fromkeys(KIND_OF, True)
        self.malformed = 0

    @property
    def tracks(self) -> dict[Source, PublishedTrack]:
        """What is published."""
        return {track.source: track for track in self._by_mid.values()}

    def negotiated(
        self, lines: dict[str, NegotiatedMedia], remote: RemoteDescription, link: Link
    ) -> None:
        """Take the result of an offer and answer: tracks come, go or change codecs."""
        received = {mid: media for mid, media in lines.items() if media.receives}
        for mid in self._by_mid.keys() - received.keys():
            self._remove(mid)
        for mid, media in received.items():
            track = self._by_mid.get(mid)
            if track is None:
                source = remote.sources[mid]
                track = PublishedTrack(
                    participant=self._participant,
                    source=source,
                    reporter_ssrc=self._reporter_ssrc,
                    send_rtcp=link.send_rtcp,
                    totals=self._totals,
                    max_bitrate=self.max_bitrate,
                )
                track.set_sending(self._sending[source])
                self._by_mid[mid] = track
            track.max_bitrate = self.max_bitrate
            track.negotiated(media, remote.rids.get(mid, ()))
            if (declared := remote.ssrcs.get(mid)) and not track.rids:
                self._use(declared[0], track)
        self._index()
        self._ingress.negotiated(received.values(), remote.repairs)
        self._send_rtcp = link.send_rtcp
        self._mid_extensions = _identifiers(received.values(), rtp.MID_URI)
        self._rid_extensions = _identifiers(received.values(), rtp.RID_URI)

    def _remove(self, mid: str) -> None:
        track = self._by_mid.pop(mid)
        track.close()
        self._index()

    def _use(self, ssrc: int, track: PublishedTrack, rid: str = "") -> PublishedLayer:
        if (before := self._by_ssrc.get(ssrc)) is not None and before.track is not track:
            before.track.drop(before)
        layer = track.use_ssrc(ssrc, rid)
        self._index()
        return layer

    def _index(self) -> None:
        before = self._by_ssrc.keys()
        self._by_ssrc = {
            layer.ssrc: layer for track in self._by_mid.values() for layer in track.layers
        }
        for ssrc in before - self._by_ssrc.keys():
            self._ingress.forget(ssrc)

    def set_sending(self, source: Source, sending: bool, now: float) -> None:
        """Forward a track, or hold it back; also one that is published later."""
        self._sending[source] = sending
        if track := self.tracks.get(source):
            track.set_sending(sending)
            if sending:
                track.request_keyframe(now)

    def rtp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected RTP packet of at least 12 bytes."""
        try:
            received = self._ingress.received(data, now)
            if received is None:
                return
            data, again = received
            layer = self._by_ssrc.get(rtp.SSRC.unpack_from(data, 8)[0])
            if layer is None and not again:
                layer = self._learn(data, now)
            if layer is not None:
                layer.track.receive(layer, data, now, again=again)
        except ValueError:
            self.malformed += 1

    def _ssrc_of(self, mid: str, rid: str) -> int | None:
        track = self._by_mid.get(mid)
        layers = track.layers if track is not None else ()
        return next((layer.ssrc for layer in layers if layer.rid == rid), None)

    def _learn(self, data: bytes, now: float) -> PublishedLayer | None:
        """Find the layer of an unknown SSRC by MID and RID (RFC 9143 section 9.2, RFC 8852).

        Without them the payload type must tell the track. A layer that is alive keeps its SSRC.
        """
        track, rid = None, ""
        for identifier, value in rtp.elements(data):
            if identifier in self._mid_extensions:
                track = self._by_mid.get(value.decode("ascii", "replace"))
            elif identifier in self._rid_extensions:
                rid = value.decode("ascii", "replace")
        if track is None:
            payload_type = data[1] & 0x7F
            matching = [t for t in self._by_mid.values() if t.takes(payload_type)]
            track = matching[0] if len(matching) == 1 else None
        if track is None or (track.rids and rid not in track.rids):
            return None
        known = next((layer for layer in track.layers if layer.rid == rid or not track.rids), None)
        if known is not None and now - known.last_packet < SILENT_SECONDS:
            return None
        return self._use(rtp.SSRC.unpack_from(data, 8)[0], track, rid)

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet."""
        try:
            packets = rtcp.parse(data)
        except ValueError:
            self.malformed += 1
            return
        for packet in packets:
            if isinstance(packet, RtcpSrPacket) and (layer := self._by_ssrc.get(packet.ssrc)):
                layer.sender_report(packet.sender_info, now)

    def request_keyframes(self, now: float) -> None:
        """Ask for a fresh start of every video."""
        for track in self._by_mid.values():
            track.request_keyframe(now)

    def tick(self, now: float) -> None:
        """Ten times a second."""
        for message in self._ingress.tick(now):
            if self._send_rtcp is not None:
                self._send_rtcp(message)
        for track in self._by_mid.values():
            track.tick(now)

    def report(self, now: float) -> None:
        """Once a second."""
        for track in self._by_mid.values():
            track.report(now, self._ingress.estimate)

    def stats(self) -> tuple[InboundStats, ...]:
        """One for each layer that has come."""
        return tuple(
            InboundStats(
                kind=track.kind,
                source=track.source,
                mid=track.mid,
                rid=layer.rid,
                ssrc=layer.ssrc,
                mime_type=track.mime_type,
                packets_received=layer.stream.packets_received,
                bytes_received=layer.stream.bytes_received,
                packets_lost=layer.stream.packets_lost,
                jitter=layer.stream.jitter_seconds,
                nack_count=layer.nack_count,
                pli_count=layer.pli_count,
            )
            for track in self._by_mid.values()
            for layer in track.layers
        )

    def close(self) -> None:
        """Leave every subscriber."""
        for mid in list(self._by_mid):
            self._remove(mid)


def _identifiers(lines: Iterable[NegotiatedMedia], uri: str) -> set[int]:
    """The numbers that a header extension has on some m-lines."""
    return {media.extensions[uri] for media in lines if uri in media.extensions}

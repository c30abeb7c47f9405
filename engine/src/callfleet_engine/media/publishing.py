"""The publishing half of a participant: one peer connection that the client offers."""

from __future__ import annotations

import logging
import secrets
import struct

from aiortc.rtp import RtcpPacket, RtcpSrPacket

from callfleet_engine.media import rtp
from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.interface import InboundStats, Kind
from callfleet_engine.media.link import Link
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.totals import Totals

log = logging.getLogger(__name__)

SILENT_SECONDS = 1.0
MAX_RTCP_PACKETS = 64


class Publishing:
    """The tracks of one publisher and the way of each packet to its track."""

    def __init__(self, participant: str, totals: Totals, max_bitrate: int) -> None:
        self._participant = participant
        self._totals = totals
        self._max_bitrate = max_bitrate
        self._reporter_ssrc = secrets.randbits(32)
        self._by_ssrc: dict[int, PublishedTrack] = {}
        self._by_mid: dict[str, PublishedTrack] = {}
        self._mid_extensions: set[int] = set()
        self._sending: dict[Kind, bool] = {"audio": True, "video": True}
        self._now = 0.0
        self.malformed = 0

    @property
    def tracks(self) -> dict[Kind, PublishedTrack]:
        """What is published, by kind."""
        return {track.kind: track for track in self._by_mid.values()}

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
                track = PublishedTrack(
                    participant=self._participant,
                    kind=media.kind,
                    reporter_ssrc=self._reporter_ssrc,
                    send_rtcp=link.send_rtcp,
                    totals=self._totals,
                    max_bitrate=self._max_bitrate,
                )
                track.set_sending(self._sending[media.kind])
                self._by_mid[mid] = track
            track.negotiated(media)
            if declared := remote.ssrcs.get(mid):
                self._use(declared[0], track)
        self._mid_extensions = {
            media.extensions[rtp.MID_URI]
            for media in received.values()
            if rtp.MID_URI in media.extensions
        }

    def _remove(self, mid: str) -> None:
        track = self._by_mid.pop(mid)
        track.close()
        if track.ssrc is not None:
            self._by_ssrc.pop(track.ssrc, None)

    def _use(self, ssrc: int, track: PublishedTrack) -> None:
        if track.ssrc is not None:
            self._by_ssrc.pop(track.ssrc, None)
        track.use_ssrc(ssrc)
        self._by_ssrc[ssrc] = track

    def set_sending(self, kind: Kind, sending: bool, now: float) -> None:
        """Forward a kind, or hold it back; also one that is published later."""
        self._sending[kind] = sending
        if track := self.tracks.get(kind):
            track.set_sending(sending)
            if sending:
                track.request_keyframe(now)

    def rtp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected RTP packet of at least 12 bytes."""
        track = self._by_ssrc.get(rtp.SSRC.unpack_from(data, 8)[0])
        try:
            if track is None:
                track = self._learn(data, now)
                if track is None:
                    return
            track.receive(data, now)
        except ValueError:
            self.malformed += 1

    def _learn(self, data: bytes, now: float) -> PublishedTrack | None:
        """Find the track of an unknown SSRC by MID, else by payload type (RFC 9143 section 9.2).

        A track with a live SSRC keeps it: another layer of it is not wanted.
        """
        track = None
        for identifier in self._mid_extensions:
            if mid := rtp.extension(data, identifier):
                track = self._by_mid.get(mid.decode("ascii", "replace"))
        if track is None:
            payload_type = data[1] & 0x7F
            matching = [t for t in self._by_mid.values() if t.takes(payload_type)]
            track = matching[0] if len(matching) == 1 else None
        if track is None or now - track.last_packet < SILENT_SECONDS:
            return None
        self._use(rtp.SSRC.unpack_from(data, 8)[0], track)
        return track

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet."""
        try:
            packets = RtcpPacket.parse(data)
        except (ValueError, struct.error):
            self.malformed += 1
            return
        for packet in packets[:MAX_RTCP_PACKETS]:
            if isinstance(packet, RtcpSrPacket) and (track := self._by_ssrc.get(packet.ssrc)):
                track.sender_report(packet.sender_info, now)

    def request_keyframes(self, now: float) -> None:
        """Ask for a fresh start of every video."""
        for track in self._by_mid.values():
            track.request_keyframe(now)

    def tick(self, now: float) -> None:
        """Ten times a second."""
        for track in self._by_mid.values():
            track.tick(now)

    def report(self, now: float) -> None:
        """Once a second."""
        for track in self._by_mid.values():
            track.report(now)

    def stats(self) -> tuple[InboundStats, ...]:
        """One for each track that an SSRC is known of."""
        return tuple(
            InboundStats(
                kind=track.kind,
                mid=track.mid,
                ssrc=track.ssrc,
                mime_type=track.mime_type,
                packets_received=track.stream.packets_received,
                bytes_received=track.stream.bytes_received,
                packets_lost=track.stream.packets_lost,
                jitter=track.stream.jitter_seconds,
                nack_count=track.nack_count,
                pli_count=track.pli_count,
            )
            for track in self._by_mid.values()
            if track.ssrc is not None
        )

    def close(self) -> None:
        """Leave every subscriber."""
        for mid in list(self._by_mid):
            self._remove(mid)

"""The publishing half of a participant, whose packets the extension takes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from callfleet_engine.media.bandwidth import BandwidthEstimator, Outcome
from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.interface import KIND_OF, InboundStats, Source
from callfleet_engine.media.layers import LayerState, ordered
from callfleet_engine.media.link import Link
from callfleet_engine.media.native.settings import (
    PublisherSettings,
    publisher_settings,
    track_settings,
)
from callfleet_engine.media.rtp import SILENCE
from callfleet_engine.media.seams import NegotiatedMedia

if TYPE_CHECKING:
    from callfleet_engine import _native
    from callfleet_engine.media.native.forwarding import NativeForwarding


class NativeTrack:
    """One m-line of a publisher: see `Published`. `number` is what the extension calls it."""

    def __init__(self, publishing: NativePublishing, source: Source, number: int) -> None:
        self.participant = publishing.participant
        self.source = source
        self.kind = KIND_OF[source]
        self.number = number
        self.media: NegotiatedMedia | None = None
        self.rids: tuple[str, ...] = ()
        self.states: tuple[LayerState, ...] = ()
        self._publishing = publishing
        self._payload_type: int | None = None
        self._loudest = SILENCE

    @property
    def connection(self) -> int:
        """What the extension calls its publisher."""
        return self._publishing.connection

    @property
    def mime_type(self) -> str:
        """The codec of the last packet, empty before the first."""
        return "" if self._payload_type is None else self.mime_type_of(self._payload_type)

    def mime_type_of(self, payload_type: int) -> str:
        """The codec of a payload type of this publisher, empty if it has none."""
        codecs = self.media.codecs if self.media is not None else ()
        return next((c.mimeType for c in codecs if c.payloadType == payload_type), "")

    def take_loudest(self) -> int:
        """The highest audio level since the last call, in -dBov; 127 is silence."""
        loudest, self._loudest = self._loudest, SILENCE
        return loudest

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of each layer that somebody gets."""
        self._publishing.plane.request_keyframes(self.connection, self.number, now)

    def told(self, layers: Sequence[_native.Layer], payload_type: int | None, loudest: int) -> None:
        """What came in since the last tick."""
        self.states = tuple(LayerState(*layer) for layer in layers)
        self._payload_type = payload_type
        self._loudest = min(self._loudest, loudest)


class NativePublishing:
    """See `PublishingHalf`."""

    def __init__(self, forwarding: NativeForwarding, participant: str, max_bitrate: int) -> None:
        self.participant = participant
        self.plane: _native.Plane
        self.connection = 0
        self._forwarding = forwarding
        self.max_bitrate = max_bitrate
        self._reporter_ssrc = secrets.randbits(32)
        self._by_mid: dict[str, NativeTrack] = {}
        self._made = 0
        self._sending: dict[Source, bool] = dict.fromkeys(KIND_OF, True)
        self._estimator: BandwidthEstimator | None = None

    @property
    def tracks(self) -> dict[Source, NativeTrack]:
        """What is published."""
        return {track.source: track for track in self._by_mid.values()}

    def negotiated(
        self, lines: dict[str, NegotiatedMedia], remote: RemoteDescription, link: Link
    ) -> None:
        """Take the result of an offer and answer: tracks come, go or change codecs."""
        self.plane, self.connection = self._forwarding.publisher(link, self)
        received = {mid: media for mid, media in lines.items() if media.receives}
        self._by_mid = {mid: track for mid, track in self._by_mid.items() if mid in received}
        tracks = []
        for mid, media in received.items():
            track = self._by_mid.get(mid)
            if track is None:
                self._made += 1
                track = NativeTrack(self, remote.sources[mid], self._made)
                self._by_mid[mid] = track
            track.media = media
            track.rids = ordered(remote.rids.get(mid, ()))
            declared = remote.ssrcs.get(mid)
            tracks.append(
                track_settings(
                    media,
                    track=track.number,
                    rids=track.rids,
                    declared=declared[0] if declared and not track.rids else None,
                    sending=self._sending[track.source],
                )
            )
        settings = publisher_settings(
            received.values(),
            tracks,
            reporter=self._reporter_ssrc,
            max_bitrate=self.max_bitrate,
            repairs=remote.repairs.items(),
        )
        if settings.transport is None and self._estimator is None:
            self._estimator = BandwidthEstimator()
        elif settings.transport is not None:
            self._estimator = None
        self.plane.publish(self.connection, settings)

    def set_sending(self, source: Source, sending: bool, now: float) -> None:
        """Forward a track, or hold it back; also one that is published later."""
        self._sending[source] = sending
        if track := self.tracks.get(source):
            self.plane.set_sending(self.connection, track.number, sending)
            if sending:
                track.request_keyframe(now)

    def rtp_received(self, data: bytes, now: float) -> None:
        """Never called: what is unprotected stays in the extension."""

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Never called: what is unprotected stays in the extension."""

    def request_keyframes(self, now: float) -> None:
        """Ask for a fresh start of every video."""
        for track in self._by_mid.values():
            track.request_keyframe(now)

    def noted(self, outcomes: Sequence[_native.Outcome], now: float) -> None:
        """What arrived since the last tick, of a publisher without transport-wide feedback."""
        if self._estimator is not None:
            self._estimator.outcomes([Outcome(*each) for each in outcomes], now)

    def told(
        self,
        number: int,
        layers: Sequence[_native.Layer],
        payload_type: int | None,
        loudest: int,
    ) -> None:
        """What came in on a track since the last tick."""
        if track := self.track(number):
            track.told(layers, payload_type, loudest)

    def track(self, number: int) -> NativeTrack | None:
        """The one that the extension calls so."""
        return next((t for t in self._by_mid.values() if t.number == number), None)

    def tick(self, now: float) -> None:
        """The extension's own tick has done it."""

    def report(self, now: float) -> None:
        """Once a second: tell the publisher how it is received, and how much it may send."""
        if self._by_mid:
            estimate = self._estimator.estimate if self._estimator is not None else None
            self.plane.report(self.connection, None if estimate is None else int(estimate), now)

    def stats(self) -> tuple[InboundStats, ...]:
        """One for each layer that has come."""
        if not self._by_mid:
            return ()
        found = []
        for figures in self.plane.published(self.connection):
            number, rid, ssrc, packets, size, lost, jitter, nacks, plis = figures
            track = self.track(number)
            if track is None or track.media is None:
                continue
            found.append(
                InboundStats(
                    kind=track.kind,
                    source=track.source,
                    mid=track.media.mid,
                    rid=rid,
                    ssrc=ssrc,
                    mime_type=track.mime_type,
                    packets_received=packets,
                    bytes_received=size,
                    packets_lost=lost,
                    jitter=jitter,
                    nack_count=nacks,
                    pli_count=plis,
                )
            )
        return tuple(found)

    def close(self) -> None:
        """Leave every subscriber."""
        if self._by_mid:
            self._by_mid = {}
            settings = PublisherSettings(self._reporter_ssrc, self.max_bitrate)
            self.plane.publish(self.connection, settings)

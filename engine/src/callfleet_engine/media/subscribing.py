"""The subscribing half of a participant: one peer connection that the server offers."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import compress

from callfleet_engine.media import distribution, rtp
from callfleet_engine.media.codec import Same, led_to, names
from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.forwarding import Down, Forwarding, Published
from callfleet_engine.media.interface import (
    KIND_OF,
    OutboundStats,
    Source,
    SubscribedTrack,
    TrackLayers,
)
from callfleet_engine.media.layers import HIGHEST
from callfleet_engine.media.link import Link
from callfleet_engine.media.retransmission import RtxStream
from callfleet_engine.media.seams import MediaLine, NegotiatedMedia
from callfleet_engine.media.slots import Slots

GROUPS: tuple[tuple[Source, ...], ...] = (("microphone", "camera"), ("screen",))
"""m-lines that belong to one publisher together, and are made together."""

Publishers = Mapping[str, Mapping[Source, Published]]
Wishes = Mapping[tuple[str, Source], int | None]


@dataclass(slots=True)
class Line:
    """One m-line and what is sent on it."""

    media: MediaLine
    downtrack: Down


@dataclass(slots=True)
class _Group:
    sources: tuple[Source, ...]
    slots: Slots
    lines: list[dict[Source, Line]]


class Subscribing:
    """The m-lines of one subscriber: what was offered, what was answered, what is sent.

    `wishes` are the layers that the client wants at most, by publisher and source.
    """

    def __init__(self, link: Link, forwarding: Forwarding, wishes: Wishes) -> None:
        self.link = link
        self._transport = forwarding.subscribing(link)
        self._wishes = wishes
        self._groups = [_Group(sources, Slots(), []) for sources in GROUPS]
        self._by_ssrc: dict[int, Down] = {}
        self._offered: dict[tuple[str, Source], Line] = {}
        self._negotiated: dict[str, NegotiatedMedia] = {}
        self._freezes_avoided: Counter[int] = Counter()
        """By SSRC."""
        self._told_layers: dict[str, TrackLayers] = {}
        self._told_untaken: set[tuple[str, str, str]] = set()

    @staticmethod
    def wanted(publishers: Publishers) -> frozenset[tuple[str, Source]]:
        """What an offer must hold to be right for these publishers."""
        return frozenset((name, source) for name, tracks in publishers.items() for source in tracks)

    @property
    def offered(self) -> frozenset[tuple[str, Source]]:
        """What the last offer held."""
        return frozenset(self._offered)

    async def offer(self, publishers: Publishers) -> str:
        """Make the next offer: a pair of m-lines for each publisher, one more for each screen."""
        offered = {}
        for group in self._groups:
            wanted = [name for name, tracks in publishers.items() if tracks.keys() & group.sources]
            group.slots.assign(wanted)
            while len(group.lines) < len(group.slots.publishers):
                group.lines.append({source: self._new_line(source) for source in group.sources})
            for publisher, lines in zip(group.slots.publishers, group.lines, strict=True):
                for source, line in lines.items():
                    if publisher is not None and source in publishers[publisher]:
                        line.media.offer_stream(_stream(publisher, source))
                        offered[publisher, source] = line
                    else:
                        line.media.offer_stream(None)
        self._offered = offered
        sdp = await self.link.pc.make_offer()
        for line in self._lines():
            line.downtrack.mid = line.media.mid
        return sdp

    def _lines(self) -> Iterator[Line]:
        for group in self._groups:
            for lines in group.lines:
                yield from lines.values()

    def _new_line(self, source: Source) -> Line:
        return self._new_downtrack(self.link.pc.add_line(KIND_OF[source]))

    def _new_downtrack(self, media: MediaLine) -> Line:
        downtrack = self._transport.downtrack(media.ssrc)
        self._by_ssrc[media.ssrc] = downtrack
        return Line(media, downtrack)

    def tracks(self) -> tuple[SubscribedTrack, ...]:
        """What the last offer holds, in the order of its m-lines."""
        return tuple(
            SubscribedTrack(mid=line.downtrack.mid, participant=publisher, source=source)
            for (publisher, source), line in self._offered.items()
        )

    async def answered(self, remote: RemoteDescription, publishers: Publishers, now: float) -> None:
        """Take the answer to the last offer and send what it accepts."""
        await self.link.pc.take_answer(remote.description)
        self._negotiated = self.link.pc.negotiated()
        self._negotiated_transport()
        self.connect(publishers, now)

    def _negotiated_transport(self) -> None:
        lines = [(line, self._negotiated.get(line.media.mid)) for line in self._lines()]
        numbers = [
            media.extensions[rtp.TRANSPORT_NUMBER_URI]
            for _, media in lines
            if media is not None and rtp.TRANSPORT_NUMBER_URI in media.extensions
        ]
        for line, media in lines:
            known = self._transport.rtx.pop(line.media.ssrc, None)
            if media is not None and media.rtx:
                self._transport.rtx[line.media.ssrc] = RtxStream(
                    line.media.rtx_ssrc,
                    {original: rtx for rtx, original in media.rtx.items()},
                    known.sequence if known is not None else secrets.randbits(15),
                )
        self._transport.negotiated(numbers[0] if numbers else None, self._identifiers())

    def _identifiers(self) -> dict[int, dict[int, int]]:
        """By SSRC, what header extensions are called; empty where the engine has chosen that."""
        return {}

    def connect(self, publishers: Publishers, now: float) -> None:
        """Attach each m-line to what it was offered for, as far as that is published still.

        Called when an answer came, when media can flow, and when a publisher renegotiated.
        """
        if not self.link.connected:
            return
        self._told_untaken = {told for told in self._told_untaken if told[0] in publishers}
        attached = {}
        for (publisher, source), line in self._offered.items():
            track = publishers.get(publisher, {}).get(source)
            media = self._negotiated.get(line.downtrack.mid)
            if track is not None and track.media is not None and media is not None and media.sends:
                attached[id(line)] = (track, media)
        for line in self._lines():
            found = attached.get(id(line))
            if found is None:
                line.downtrack.detach()
            else:
                self._attach(line.downtrack, *found, now)

    def _attach(
        self, downtrack: Down, track: Published, media: NegotiatedMedia, now: float
    ) -> None:
        published = track.media.codecs if track.media is not None else ()
        taken, unwrapped = led_to(Same(published), Same(media.codecs))
        if downtrack.track is track:
            downtrack.accept(taken, unwrapped)
            return
        downtrack.attach(track, taken, unwrapped)
        downtrack.most = self._wish(track)
        distribution.start(downtrack, self._transport.budget)
        track.request_keyframe(now)

    def _wish(self, track: Published) -> int | None:
        if not self._wishes:
            return HIGHEST
        return self._wishes.get((track.participant, track.source), HIGHEST)

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet."""
        self._transport.rtcp_received(data, now)

    def request_keyframes(self, now: float) -> None:
        """Ask the publishers for a fresh start of every video that is sent."""
        for downtrack in self._by_ssrc.values():
            downtrack.want_keyframe(now)

    def tick(self, now: float, speaker: str | None) -> None:
        """Ten times a second: give out the bandwidth among what is published."""
        downtracks = []
        for downtrack in self._by_ssrc.values():
            if (track := downtrack.track) is not None:
                downtrack.most = self._wish(track)
                downtracks.append(downtrack)
        given_out = distribution.distribute(downtracks, self._transport.budget, speaker)
        self._transport.tick(next_step=given_out.next_step if given_out else None, now=now)
        if given_out is not None:
            self._freezes_avoided.update(d.ssrc for d in compress(downtracks, given_out.spared))

    def changed_layers(self) -> tuple[TrackLayers, ...]:
        """Tracks with several layers of which something else is sent than at the last call."""
        changed = []
        for downtrack in self._by_ssrc.values():
            track = downtrack.track
            if track is None or len(track.rids) < 2:
                continue
            state = TrackLayers(
                mid=downtrack.mid,
                participant=track.participant,
                source=track.source,
                layer=downtrack.layer,
                target=downtrack.target,
            )
            if self._told_layers.get(downtrack.mid) != state:
                self._told_layers[downtrack.mid] = state
                changed.append(state)
        return tuple(changed)

    def newly_untaken(self) -> tuple[tuple[SubscribedTrack, str, tuple[str, ...]], ...]:
        """Tracks that come in a codec this subscriber lacks, with it and what it takes instead.

        Each codec of a publisher is told of once.
        """
        found = []
        for downtrack in self._by_ssrc.values():
            track, payload_type = downtrack.track, downtrack.untaken
            if track is None or payload_type is None:
                continue
            downtrack.untaken = None
            codec = track.mime_type_of(payload_type)
            key = (track.participant, track.source, codec)
            media = self._negotiated.get(downtrack.mid)
            if codec and media is not None and key not in self._told_untaken:
                self._told_untaken.add(key)
                what = SubscribedTrack(downtrack.mid, track.participant, track.source)
                found.append((what, codec, names(media.codecs)))
        return tuple(found)

    def stats(self) -> tuple[OutboundStats, ...]:
        """One for each m-line that sends."""
        sending = ((d, d.track) for d in self._by_ssrc.values() if d.track is not None)
        return tuple(
            _stats(downtrack, track, self._freezes_avoided[downtrack.ssrc])
            for downtrack, track in sending
        )

    def close(self) -> None:
        """Take nothing any more."""
        for downtrack in self._by_ssrc.values():
            downtrack.detach()


def _stats(downtrack: Down, track: Published, freezes_avoided: int) -> OutboundStats:
    figures = downtrack.figures()
    return OutboundStats(
        kind=track.kind,
        source=track.source,
        mid=downtrack.mid,
        participant=track.participant,
        rid=downtrack.rid,
        ssrc=downtrack.ssrc,
        mime_type=track.mime_type,
        packets_sent=figures.packets_sent,
        bytes_sent=figures.bytes_sent,
        retransmitted_packets_sent=figures.retransmitted,
        nack_count=figures.nack_count,
        pli_count=figures.pli_count,
        packets_lost=figures.packets_lost,
        jitter=figures.jitter,
        round_trip_time=figures.round_trip_time,
        layer=downtrack.layer,
        freezes_avoided=freezes_avoided,
    )


def _stream(publisher: str, source: Source) -> str:
    """The MediaStream's id; a screen has one of its own: no lips need be kept in step with it."""
    return f"{publisher}-screen" if source == "screen" else publisher

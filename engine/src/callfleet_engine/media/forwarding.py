"""What of a media plane moves packets, as sessions use it: in Python, or in the extension.

Both halves of a participant are made by the plane's `Forwarding` and belong to one link each. Who
shares these protocols shares everything above: SDP, m-lines, wishes, bandwidth, events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.interface import InboundStats, Kind, Source
from callfleet_engine.media.layers import LayerState
from callfleet_engine.media.link import Link
from callfleet_engine.media.retransmission import RtxStream
from callfleet_engine.media.seams import NegotiatedMedia


class Published(Protocol):
    """One track that a participant publishes."""

    @property
    def participant(self) -> str:
        """Who publishes it."""
        ...

    @property
    def source(self) -> Source:
        """What it shows or lets hear."""
        ...

    @property
    def kind(self) -> Kind:
        """Audio or video."""
        ...

    @property
    def media(self) -> NegotiatedMedia | None:
        """Its m-line."""
        ...

    @property
    def rids(self) -> tuple[str, ...]:
        """Of a simulcast, from the lowest quality to the highest."""
        ...

    @property
    def states(self) -> tuple[LayerState, ...]:
        """What came in at the last tick, from the lowest layer."""
        ...

    @property
    def mime_type(self) -> str:
        """The codec of the last packet, empty before the first."""
        ...

    def mime_type_of(self, payload_type: int) -> str:
        """The codec of a payload type of this publisher, empty if it has none."""
        ...

    def take_loudest(self) -> int:
        """The highest audio level since the last call, in -dBov; 127 is silence."""
        ...

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of each layer that somebody gets."""
        ...


class PublishingHalf(Protocol):
    """The tracks of one publisher."""

    max_bitrate: int
    """In bit/s, what the publisher is granted at most; read by `negotiated`."""

    @property
    def tracks(self) -> Mapping[Source, Published]:
        """What is published."""
        ...

    def negotiated(
        self, lines: dict[str, NegotiatedMedia], remote: RemoteDescription, link: Link
    ) -> None:
        """Take the result of an offer and answer: tracks come, go or change codecs."""
        ...

    def set_sending(self, source: Source, sending: bool, now: float) -> None:
        """Forward a track, or hold it back; also one that is published later."""
        ...

    def rtp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected RTP packet of at least 12 bytes."""
        ...

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet."""
        ...

    def request_keyframes(self, now: float) -> None:
        """Ask for a fresh start of every video."""
        ...

    def tick(self, now: float) -> None:
        """Ten times a second."""
        ...

    def report(self, now: float) -> None:
        """Once a second: tell the publisher how it is received."""
        ...

    def stats(self) -> tuple[InboundStats, ...]:
        """One for each layer that has come."""
        ...

    def close(self) -> None:
        """Leave every subscriber."""
        ...


class DownFigures(NamedTuple):
    """What was sent on one m-line, and what its client reported: see `OutboundStats`."""

    packets_sent: int
    bytes_sent: int
    retransmitted: int
    nack_count: int
    pli_count: int
    packets_lost: int | None
    jitter: float | None
    round_trip_time: float | None


class Down(Protocol):
    """One m-line of a subscriber and the track that is sent on it."""

    mid: str
    most: int | None
    """The highest layer that the client wants; None while it wants nothing."""
    untaken: int | None
    """A payload type that came and that the subscriber cannot take."""

    @property
    def ssrc(self) -> int:
        """Of what is sent."""
        ...

    @property
    def track(self) -> Published | None:
        """What is sent, if anything."""
        ...

    @property
    def layer(self) -> int | None:
        """The layer that is sent now, None while none is."""
        ...

    @property
    def target(self) -> int | None:
        """The layer that is sent from its next keyframe on; None: paused, or nothing comes."""
        ...

    @property
    def rid(self) -> str:
        """Of the layer that is sent now, empty without simulcast or while none is."""
        ...

    def attach(
        self,
        track: Any,  # noqa: ANN401 (a track of the same plane)
        mapping: Mapping[int, int],
        unwrapped: Mapping[int, int],
    ) -> None:
        """Forward `track` from its next keyframe on; `mapping` leads to the own payload types."""
        ...

    def accept(self, mapping: Mapping[int, int], unwrapped: Mapping[int, int]) -> None:
        """What the subscriber takes has been negotiated anew."""
        ...

    def detach(self) -> None:
        """Forward nothing."""
        ...

    def choose(self, layer: int | None) -> None:
        """Send this layer, or the best one below it, from its next keyframe on; None: pause."""
        ...

    def want_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of the layer that is sent."""
        ...

    def figures(self) -> DownFigures:
        """Totals."""
        ...


class SubscribingTransport(Protocol):
    """All that is sent to one subscriber."""

    rtx: dict[int, RtxStream]
    """The RTX stream of each SSRC that has one; read by `negotiated`."""

    @property
    def budget(self) -> float | None:
        """What may be given out in bit/s; None as long as no limit of the path is known."""
        ...

    def downtrack(self, ssrc: int) -> Down:
        """A new m-line."""
        ...

    def negotiated(
        self, transport_id: int | None, identifiers: Mapping[int, Mapping[int, int]] | None = None
    ) -> None:
        """Take the identifier of the transport-wide number, None where it was not negotiated.

        `identifiers`, where the other side chose them, lead from the engine's own identifiers of
        header extensions to those of a stream, by its SSRC.
        """
        ...

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Take an unprotected compound RTCP packet."""
        ...

    def tick(self, *, next_step: float | None, now: float) -> None:
        """Ten times a second; to give out more than now would need `next_step` bit/s."""
        ...


class Forwarding(Protocol):
    """Makes the halves of participants."""

    def publishing(self, participant: str) -> PublishingHalf:
        """Of a new participant."""
        ...

    def subscribing(self, link: Link) -> SubscribingTransport:
        """Of a new link."""
        ...

"""The subscribing half of a participant, whose packets the extension sends."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from callfleet_engine.media.bandwidth import BandwidthEstimator, Outcome
from callfleet_engine.media.egress import SENDING_SHARE, TICK_SECONDS
from callfleet_engine.media.forwarding import DownFigures
from callfleet_engine.media.layers import HIGHEST
from callfleet_engine.media.native.publishing import NativeTrack
from callfleet_engine.media.probing import Prober
from callfleet_engine.media.retransmission import RtxStream

if TYPE_CHECKING:
    from callfleet_engine import _native


class NativeDown:
    """One m-line of a subscriber: see `Down`."""

    def __init__(self, plane: _native.Plane, connection: int, ssrc: int) -> None:
        self.ssrc = ssrc
        self.mid = ""
        self.track: NativeTrack | None = None
        self.most: int | None = HIGHEST
        self.untaken: int | None = None
        self.layer: int | None = None
        self.target: int | None = None
        self._plane = plane
        self._connection = connection
        self._chosen: int | None = HIGHEST
        self._clock_rate = 90000
        # Under 2^15, so that packets lost at once after a wrap do not break the SRTP index
        # (RFC 3711 section 3.3.1).
        before_first = 0x10000 + secrets.randbits(15)
        self.number = plane.add_down(connection, ssrc, before_first, secrets.randbits(32))

    @property
    def rid(self) -> str:
        """Of the layer that is sent now, empty without simulcast or while none is."""
        if self.track is None or self.layer is None:
            return ""
        rids = self.track.rids  # fewer than before after a negotiation, until the next tick
        return rids[self.layer] if self.layer < len(rids) else ""

    def attach(
        self, track: NativeTrack, mapping: Mapping[int, int], unwrapped: Mapping[int, int]
    ) -> None:
        """Forward `track` from its next keyframe on; `mapping` leads to the own payload types."""
        self.track = track
        self.untaken = None
        self._chosen = self.most = HIGHEST
        self._clock_rate = 90000 if track.kind == "video" else 48000
        self._plane.attach(
            (self._connection, self.number),
            (track.connection, track.number),
            list(mapping.items()),
            list(unwrapped.items()),
            track.participant,
        )
        self.told(*self._plane.state(self._connection, self.number))

    def accept(self, mapping: Mapping[int, int], unwrapped: Mapping[int, int]) -> None:
        """What the subscriber takes has been negotiated anew."""
        self.untaken = None
        taken, blocks = list(mapping.items()), list(unwrapped.items())
        self._plane.accept(self._connection, self.number, taken, blocks)

    def detach(self) -> None:
        """Forward nothing."""
        if self.track is not None:
            self.track = self.layer = self.target = None
            self._plane.detach(self._connection, self.number)

    def choose(self, layer: int | None) -> None:
        """Send this layer, or the best one below it, from its next keyframe on; None: pause."""
        if layer != self._chosen:
            self._chosen = layer
            self.told(*self._plane.choose(self._connection, self.number, layer))

    def want_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe of the layer that is sent."""
        self._plane.want_keyframe(self._connection, self.number, now)

    def figures(self) -> DownFigures:
        """Totals, and what the client reported."""
        figures = self._plane.figures(self._connection, self.number)
        packets, size, again, nacks, plis, lost, jitter, round_trip = figures
        seconds = None if jitter is None else jitter / self._clock_rate
        return DownFigures(packets, size, again, nacks, plis, lost, seconds, round_trip)

    def told(self, layer: int | None, target: int | None, untaken: int | None) -> None:
        """What the extension sends."""
        self.layer, self.target = layer, target
        if untaken is not None:
            self.untaken = untaken


class NativeTransport:
    """See `SubscribingTransport`."""

    def __init__(self, plane: _native.Plane, connection: int) -> None:
        self.rtx: dict[int, RtxStream] = {}
        self.estimator = BandwidthEstimator()
        self._plane = plane
        self._connection = connection
        self._downs: list[NativeDown] = []
        self._transport_id: int | None = None
        self._prober = Prober()
        self._budget: float | None = None
        self._sending = 0.0
        self._tick_bytes = 0
        self._padding = 0.0

    @property
    def budget(self) -> float | None:
        """What may be given out in bit/s; None as long as no limit of the path is known."""
        return self._budget

    def downtrack(self, ssrc: int) -> NativeDown:
        """A new m-line."""
        made = NativeDown(self._plane, self._connection, ssrc)
        self._downs.append(made)
        return made

    def negotiated(
        self, transport_id: int | None, identifiers: Mapping[int, Mapping[int, int]] | None = None
    ) -> None:
        """Take the identifier of the transport-wide number, and those of each stream."""
        self._transport_id = transport_id
        streams = [
            (of, rtx.ssrc, list(rtx.payload_types.items()), rtx.sequence)
            for of, rtx in self.rtx.items()
        ]
        self._plane.subscribe(self._connection, transport_id, streams)
        for down in self._downs:
            if identifiers and (numbers := identifiers.get(down.ssrc)) is not None:
                self._plane.renumber(self._connection, down.number, list(numbers.items()))

    def rtcp_received(self, data: bytes, now: float) -> None:
        """Never called: what is unprotected stays in the extension."""

    def down_told(self, number: int, state: _native.DownState) -> None:
        """Something has changed on an m-line."""
        self._downs[number].told(*state)

    def reported(self, size: int, reports: Sequence[_native.Report]) -> None:
        """So many bytes were sent since the last tick, and this was reported."""
        self._tick_bytes += size
        for report in reports:
            match report:
                case "outcomes", now, told:
                    self.estimator.outcomes([Outcome(*each) for each in told], now)
                case "lost", now, fraction:
                    self.estimator.fraction_lost(fraction, now, sending=self._sending)
                case "remb", now, bitrate:
                    self.estimator.remb(bitrate, now)
                case "round_trip", _, seconds:
                    self.estimator.round_trip(seconds)

    def tick(self, *, next_step: float | None, now: float) -> None:
        """Ten times a second; to give out more than now would need `next_step` bit/s."""
        self.estimator.tick(now)
        estimate = self.estimator.estimate
        rate = self._prober.rate(estimate=estimate, next_step=next_step, now=now)
        self._sending += (8 * self._tick_bytes / TICK_SECONDS - self._sending) * SENDING_SHARE
        padded = self._transport_id is not None and bool(self.rtx)
        padding = 0.0
        self._budget = estimate
        if rate and padded:
            padding = max(rate * TICK_SECONDS / 8 - self._tick_bytes, 0.0)
        elif rate:
            self._budget = next_step
        if padding or self._padding:
            self._padding = padding
            self._plane.set_padding(self._connection, padding)
        self._tick_bytes = 0

"""All that is sent to one subscriber: numbered, counted, sent again, and probed with padding.

Stands between the down tracks and the transport. No I/O: packets go out through `send_rtp`, the
time comes from `clock`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from callfleet_engine.media import rtp
from callfleet_engine.media.bandwidth import BandwidthEstimator, Outcome
from callfleet_engine.media.negotiation import OFFERED_EXTENSIONS
from callfleet_engine.media.probing import Prober
from callfleet_engine.media.retransmission import RetransmissionBudget, RtxStream
from callfleet_engine.media.sent import SentPackets
from callfleet_engine.media.transport_feedback import (
    TICKS_PER_REFERENCE,
    TICKS_PER_SECOND,
    TransportFeedback,
    unwrapped,
)

PADDING_PER_PACKET = 8
TICK_SECONDS = 0.1
SENDING_SHARE = 0.1
"""Of the newest tick in the mean of what is sent."""
_REFERENCES = 1 << 24
_NUMBER_ID = OFFERED_EXTENSIONS[rtp.TRANSPORT_NUMBER_URI]
_number = rtp.NUMBER.pack


class Egress:
    """The sending side of one subscriber's transport.

    `rtx` holds the RTX stream of each SSRC that has one.
    """

    def __init__(self, send_rtp: Callable[[bytes], bool], clock: Callable[[], float]) -> None:
        self.rtx: dict[int, RtxStream] = {}
        self.estimator = BandwidthEstimator()
        self.round_trip = 0.0
        self.padding_sent = 0
        self._send_rtp = send_rtp
        self._clock = clock
        self._retransmissions = RetransmissionBudget()
        self._budget_now: float | None = None
        self._sending = 0.0
        self._prober = Prober()
        self._sent = SentPackets()
        self._transport_id: int | None = None
        self._identifiers: Mapping[int, Mapping[int, int]] = {}
        self._as_they_are = False
        self._reference: int | None = None
        self._padding_left = 0.0
        self._tick_bytes = 0
        self._unearned = 0
        self._padded: tuple[RtxStream, int] | None = None

    def negotiated(
        self, transport_id: int | None, identifiers: Mapping[int, Mapping[int, int]] | None = None
    ) -> None:
        """Take the identifier of the transport-wide number, None where it was not negotiated.

        `identifiers`, where the other side chose them, lead from the engine's own identifiers of
        header extensions to those of a stream, by its SSRC; without them they are the same.
        """
        self._transport_id = transport_id
        self._identifiers = identifiers or {}
        self._as_they_are = transport_id == _NUMBER_ID and not identifiers

    def send(self, head: bytes, tail: bytes, now: float) -> bool:
        """Send a packet for the first time; False while the transport is not up.

        The transport-wide number goes between `head` (`rtp.HEAD`) and `tail`; `now` is in seconds.
        """
        if self._as_they_are:
            packet = head + _number(self._sent.next & 0xFFFF) + tail
            if not self._send_rtp(packet):
                return False
            self._sent.note(now, len(packet))
        else:
            packet = self._unnumbered(head, tail)
            if not self._transmit(packet, now):
                return False
        self._unearned += len(packet)
        if self._padding_left > 0:
            self._pad(head, now)
        return True

    def send_again(self, head: bytes, tail: bytes) -> bool:
        """Send a packet again, by RTX where negotiated; False if that is not to be done now.

        Without RTX it would go under its old sequence number, so it must be the same to the byte
        (RFC 7714 section 8.4: two packets under one nonce give AES-GCM's key for tags away). A new
        transport-wide number would change it.
        """
        self._earn()
        now = self._clock()
        packet = self._unnumbered(head, tail)
        _, marker_and_type, sequence, _, ssrc = rtp.HEADER.unpack_from(packet)
        stream = self.rtx.get(ssrc)
        wraps = stream is not None and marker_and_type & 0x7F in stream.payload_types
        if not wraps and self._transport_id is not None:
            return False
        if not self._retransmissions.take(
            ssrc, sequence, len(packet), round_trip=self.round_trip, now=now
        ):
            return False
        return self._transmit((stream.wrap(packet) if stream is not None else None) or packet, now)

    def _unnumbered(self, head: bytes, tail: bytes) -> bytes:
        packet = rtp.without_number(head, tail)
        if not self._identifiers:
            return packet
        _, _, _, _, ssrc = rtp.HEADER.unpack_from(packet)
        return rtp.renumber_extensions(packet, self._identifiers[ssrc])

    def _transmit(self, packet: bytes, now: float) -> bool:
        if self._transport_id is None:
            return self._send_rtp(packet)
        number = self._sent.next & 0xFFFF
        if not self._send_rtp(rtp.with_short_element(packet, self._transport_id, number)):
            return False
        self._sent.note(now, len(packet))
        return True

    def _earn(self) -> None:
        """What was sent for the first time allows retransmissions."""
        self._retransmissions.earn(self._unearned)
        self._tick_bytes += self._unearned
        self._unearned = 0

    def _pad(self, head: bytes, now: float) -> None:
        _, _, _, timestamp, ssrc = rtp.HEADER.unpack_from(head)
        if stream := self.rtx.get(ssrc):
            self._padded = (stream, timestamp)
        if self._padded is None:
            self._padded = (next(iter(self.rtx.values())), 0)
        stream, timestamp = self._padded
        for _ in range(PADDING_PER_PACKET):
            packet = stream.padding(timestamp)
            if self._padding_left <= 0 or not self._transmit(packet, now):
                return
            self._padding_left -= len(packet)
            self.padding_sent += 1

    def feedback(self, feedback: TransportFeedback, now: float) -> None:
        """Take transport-wide feedback; what it says of packets nobody sent is left out."""
        if self._reference is None:
            self._reference = feedback.reference_time
        else:
            step = (feedback.reference_time - self._reference) % _REFERENCES
            self._reference += step - (_REFERENCES if step >= _REFERENCES // 2 else 0)
        base = unwrapped(feedback.base_sequence, self._sent.next)
        outcomes = []
        for index, arrival in enumerate(feedback.arrivals):
            packet = self._sent.reported(base + index, arrived=arrival is not None)
            if packet is None:
                continue
            if arrival is not None:
                arrived = (self._reference * TICKS_PER_REFERENCE + arrival) / TICKS_PER_SECOND
                outcomes.append(Outcome(packet.time, arrived, packet.size))
            elif not packet.lost:
                outcomes.append(Outcome(packet.time, None, packet.size))
        if outcomes:
            self.estimator.outcomes(outcomes, now)

    def fraction_lost(self, fraction: float, now: float) -> None:
        """Take a receiver report; it counts only where packets are not reported one by one."""
        if self._transport_id is None:
            self.estimator.fraction_lost(fraction, now, sending=self._sending)

    def remb(self, bitrate: float, now: float) -> None:
        """Take the receiver's own estimate, where it leaves that to itself."""
        if self._transport_id is None:
            self.estimator.remb(bitrate, now)

    @property
    def budget(self) -> float | None:
        """What may be given out in bit/s; None as long as no limit of the path is known."""
        return self._budget_now

    def measured_round_trip(self, seconds: float) -> None:
        """A receiver report told a round trip."""
        self.round_trip = seconds
        self.estimator.round_trip(seconds)

    def tick(self, *, next_step: float | None, now: float) -> None:
        """Ten times a second; to give out more than now would need `next_step` bit/s.

        Where packets cannot be padded or are not reported one by one, a probe gives out the next
        step itself for a while.
        """
        self._earn()
        self._retransmissions.tick()
        self.estimator.tick(now)
        estimate = self.estimator.estimate
        rate = self._prober.rate(estimate=estimate, next_step=next_step, now=now)
        self._sending += (8 * self._tick_bytes / TICK_SECONDS - self._sending) * SENDING_SHARE
        padded = self._transport_id is not None and bool(self.rtx)
        self._padding_left = 0.0
        self._budget_now = estimate
        if rate and padded:
            self._padding_left = max(rate * TICK_SECONDS / 8 - self._tick_bytes, 0.0)
        elif rate:
            self._budget_now = next_step
        self._tick_bytes = 0

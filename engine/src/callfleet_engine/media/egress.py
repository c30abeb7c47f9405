"""All that is sent to one subscriber: numbered, counted, sent again, and probed with padding.

Stands between the down tracks and the transport. No I/O: packets go out through `send_rtp`, the
time comes from `clock`.
"""

from __future__ import annotations

from collections.abc import Callable

from callfleet_engine.media import rtp
from callfleet_engine.media.bandwidth import BandwidthEstimator, Outcome
from callfleet_engine.media.probing import Prober
from callfleet_engine.media.retransmission import RetransmissionBudget, RtxStream
from callfleet_engine.media.transport_feedback import (
    TICKS_PER_REFERENCE,
    TICKS_PER_SECOND,
    TransportFeedback,
    unwrapped,
)

HISTORY = 8192
"""Packets whose feedback may still come: about a second of a gigabit."""
PADDING_PER_PACKET = 8
TICK_SECONDS = 0.1
SENDING_SHARE = 0.1
"""Of the newest tick in the mean of what is sent."""
_REFERENCES = 1 << 24


_Sent = tuple[int, float, int, bool]
"""A packet's number, time and bytes, and whether it was reported lost. Plain, since there is one
for each packet."""


class Egress:
    """The sending side of one subscriber's transport.

    `transport_id` is the identifier of the transport-wide number among the header extensions,
    None where it was not negotiated; `rtx` holds the RTX stream of each SSRC that has one.
    """

    def __init__(self, send_rtp: Callable[[bytes], bool], clock: Callable[[], float]) -> None:
        self.transport_id: int | None = None
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
        self._number = 0x10000
        self._history: list[_Sent | None] = [None] * HISTORY
        self._reference: int | None = None
        self._padding_left = 0.0
        self._tick_bytes = 0
        self._padded: tuple[RtxStream, int] | None = None

    def send(self, data: bytes) -> bool:
        """Send a packet for the first time; False while the transport is not up."""
        if not self._transmit(data):
            return False
        self._retransmissions.earn(len(data))
        self._tick_bytes += len(data)
        if self._padding_left > 0:
            self._pad(data)
        return True

    def send_again(self, data: bytes) -> bool:
        """Send a packet again, by RTX where negotiated; False if that is not to be done now."""
        _, _, sequence, _, ssrc = rtp.HEADER.unpack_from(data)
        if not self._retransmissions.take(
            ssrc, sequence, len(data), round_trip=self.round_trip, now=self._clock()
        ):
            return False
        stream = self.rtx.get(ssrc)
        return self._transmit((stream.wrap(data) if stream is not None else None) or data)

    def _transmit(self, data: bytes) -> bool:
        if self.transport_id is None:
            return self._send_rtp(data)
        number = self._number
        if not self._send_rtp(rtp.with_short_element(data, self.transport_id, number & 0xFFFF)):
            return False
        self._history[number % HISTORY] = (number, self._clock(), len(data), False)
        self._number = number + 1
        return True

    def _pad(self, data: bytes) -> None:
        _, _, _, timestamp, ssrc = rtp.HEADER.unpack_from(data)
        if stream := self.rtx.get(ssrc):
            self._padded = (stream, timestamp)
        if self._padded is None:
            self._padded = (next(iter(self.rtx.values())), 0)
        stream, timestamp = self._padded
        for _ in range(PADDING_PER_PACKET):
            packet = stream.padding(timestamp)
            if self._padding_left <= 0 or not self._transmit(packet):
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
        base = unwrapped(feedback.base_sequence, self._number)
        outcomes = []
        for index, arrival in enumerate(feedback.arrivals):
            packet = self._history[(base + index) % HISTORY]
            if packet is None or packet[0] != base + index:
                continue
            number, sent, size, reported_lost = packet
            if arrival is None:
                if not reported_lost:
                    self._history[number % HISTORY] = (number, sent, size, True)
                    outcomes.append(Outcome(sent, None, size))
                continue
            self._history[number % HISTORY] = None
            arrived = (self._reference * TICKS_PER_REFERENCE + arrival) / TICKS_PER_SECOND
            outcomes.append(Outcome(sent, arrived, size))
        if outcomes:
            self.estimator.outcomes(outcomes, now)

    def fraction_lost(self, fraction: float, now: float) -> None:
        """Take a receiver report; it counts only where packets are not reported one by one."""
        if self.transport_id is None:
            self.estimator.fraction_lost(fraction, now, sending=self._sending)

    def remb(self, bitrate: float, now: float) -> None:
        """Take the receiver's own estimate, where it leaves that to itself."""
        if self.transport_id is None:
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
        self._retransmissions.tick()
        self.estimator.tick(now)
        estimate = self.estimator.estimate
        rate = self._prober.rate(estimate=estimate, next_step=next_step, now=now)
        self._sending += (8 * self._tick_bytes / TICK_SECONDS - self._sending) * SENDING_SHARE
        padded = self.transport_id is not None and bool(self.rtx)
        self._padding_left = 0.0
        self._budget_now = estimate
        if rate and padded:
            self._padding_left = max(rate * TICK_SECONDS / 8 - self._tick_bytes, 0.0)
        elif rate:
            self._budget_now = next_step
        self._tick_bytes = 0

"""How much a subscriber's path carries, from what the subscriber reports. No I/O.

In the spirit of draft-ietf-rmcat-gcc-02: a delay-based and a loss-based controller, the lower of
which counts. Nothing is known of a path before it has shown a limit: `estimate` is None then, and
who asks must not take that for a small number.

Rates are in bit/s, times in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from callfleet_engine.media.delay_trend import DelayTrend

MIN_BITRATE = 30_000.0
MAX_BITRATE = 1e9
RATE_WINDOW_SECONDS = 0.5
MIN_RATE_SECONDS = 0.15
MAX_SAMPLES = 4096
DECREASE = 0.85
INCREASE_PER_SECOND = 1.08
NEAR = 0.1
"""So close to where it was last too much, it is felt for one packet a round trip at a time."""
PACKET_BITS = 9600
HEADROOM = 1.5
"""An estimate is no more than this above what was delivered: nobody tried more."""
HIGH_LOSS = 0.15
"""A tenth may be lost on the air without any queue; it is repaired."""
MIN_LOSS_PACKETS = 20
LOSS_WINDOW_SECONDS = 1.0
DEFAULT_ROUND_TRIP = 0.1
SETTLE_SECONDS = 0.3
STANDING_QUEUE_SECONDS = 0.1
"""While packets wait so long it is not time to send more, though the queue grows no more."""
REMB_SECONDS = 5.0
"""A REMB counts for so long (draft-alvestrand-rmcat-remb-03 wants one each second)."""


class Outcome(NamedTuple):
    """What became of one packet: when it was sent and arrived (None: it has not), its bytes.

    The two times are of different clocks.
    """

    sent: float
    arrived: float | None
    size: int


class BandwidthEstimator:
    """One transport's estimate."""

    def __init__(self) -> None:
        self._trend = DelayTrend()
        self._target: float | None = None
        self._limit_seen: float | None = None
        self._remb: tuple[float, float] | None = None
        self._round_trip = DEFAULT_ROUND_TRIP
        self._received: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)
        self._received_bytes = 0
        self._lost = 0
        self._reported = 0
        self._loss_since = 0.0
        self._updated: float | None = None
        self._decreased = float("-inf")

    @property
    def estimate(self) -> float | None:
        """What the path carries; None as long as no limit of it was seen."""
        rates = [r for r in (self._target, self._remb[0] if self._remb else None) if r is not None]
        return min(rates) if rates else None

    @property
    def delivered(self) -> float | None:
        """What arrived over the last half second, None without feedback of packets."""
        if len(self._received) < 2:
            return None
        elapsed = self._received[-1][0] - self._received[0][0]
        if elapsed < MIN_RATE_SECONDS:
            return None
        # The first opens the interval, what it carried lies before it.
        return 8 * (self._received_bytes - self._received[0][1]) / elapsed

    def round_trip(self, seconds: float) -> None:
        """A measured round trip."""
        self._round_trip = seconds

    def outcomes(self, outcomes: Iterable[Outcome], now: float) -> None:
        """Take one message of transport-wide feedback, in the order of sending."""
        for sent, arrived, size in outcomes:
            self._reported += 1
            if arrived is None:
                self._lost += 1
                continue
            self._trend.add(sent, arrived)
            self._note_received(arrived, size)
        self._losses(now)
        self._control(now)

    def fraction_lost(self, fraction: float, now: float, *, sending: float) -> None:
        """Take a receiver report of a transport whose packets are not reported one by one.

        `sending` is what is sent at present.
        """
        self._by_loss(fraction, (1 - fraction) * sending, now)
        self._control(now)

    def remb(self, bitrate: float, now: float) -> None:
        """Take what the receiver itself estimates."""
        self._remb = (max(bitrate, MIN_BITRATE), now)

    def tick(self, now: float) -> None:
        """Forget a REMB that nobody renewed."""
        if self._remb is not None and now - self._remb[1] > REMB_SECONDS:
            self._remb = None

    def _note_received(self, arrived: float, size: int) -> None:
        if self._received and arrived < self._received[-1][0]:
            arrived = self._received[-1][0]
        if len(self._received) == MAX_SAMPLES:
            self._received_bytes -= self._received[0][1]
        self._received.append((arrived, size))
        self._received_bytes += size
        while arrived - self._received[0][0] > RATE_WINDOW_SECONDS:
            self._received_bytes -= self._received.popleft()[1]

    def _losses(self, now: float) -> None:
        if self._reported < MIN_LOSS_PACKETS or now - self._loss_since < LOSS_WINDOW_SECONDS:
            return
        fraction = self._lost / self._reported
        self._lost = self._reported = 0
        self._loss_since = now
        if (delivered := self.delivered) is not None:
            self._by_loss(fraction, delivered, now)

    def _by_loss(self, fraction: float, delivered: float, now: float) -> None:
        if fraction <= HIGH_LOSS or now - self._decreased < self._round_trip + SETTLE_SECONDS:
            return
        known = self._target if self._target is not None else delivered
        self._decrease(max(known * (1 - fraction / 2), DECREASE * delivered), now)

    def _control(self, now: float) -> None:
        elapsed = now - self._updated if self._updated is not None else 0.0
        elapsed = min(max(elapsed, 0.0), 1.0)
        self._updated = now
        if self._trend.usage == "over":
            delivered = self.delivered
            settled = now - self._decreased >= self._round_trip + SETTLE_SECONDS
            if delivered is not None and settled:
                self._limit_seen = delivered
                self._decrease(DECREASE * delivered, now)
        elif (
            self._trend.usage == "normal"
            and self._trend.queue < STANDING_QUEUE_SECONDS
            and self._target is not None
        ):
            self._increase(self._target, elapsed, now)

    def _decrease(self, to: float, now: float) -> None:
        if self._target is None or to < self._target:
            self._target = min(max(to, MIN_BITRATE), MAX_BITRATE)
            self._decreased = now

    def _increase(self, target: float, elapsed: float, now: float) -> None:
        near = self._limit_seen is not None and abs(target / self._limit_seen - 1) < NEAR
        if near:
            raised = target + PACKET_BITS * elapsed / (self._round_trip + DEFAULT_ROUND_TRIP)
        else:
            raised = target * INCREASE_PER_SECOND**elapsed
        delivered = self.delivered
        if delivered is not None:
            raised = max(min(raised, HEADROOM * delivered), target)
            if now - self._decreased > 2 * RATE_WINDOW_SECONDS:
                # What arrives while no queue grows is what the path carries at least.
                raised = max(raised, delivered)
        self._target = min(raised, MAX_BITRATE)

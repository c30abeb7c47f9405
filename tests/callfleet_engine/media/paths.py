"""A path with a bottleneck, in simulated time: no sockets, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from callfleet_engine.media.bandwidth import BandwidthEstimator, Outcome

PACKET_BYTES = 1000
FEEDBACK_SECONDS = 0.1


@dataclass
class Path:
    """Packets wait behind each other at `capacity` bit/s and are dropped when they would wait
    longer than `queue` seconds; `jitter` is added to each at random, `loss` takes a share."""

    capacity: float
    queue: float = 0.3
    delay: float = 0.03
    jitter: float = 0.0
    loss: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311
    _free: float = 0.0

    def arrival(self, sent: float, size: int) -> float | None:
        if self.chance.random() < self.loss:
            return None
        start = max(self._free, sent)
        if start - sent > self.queue:
            return None
        self._free = start + 8 * size / self.capacity
        return self._free + self.delay + self.chance.uniform(0, self.jitter)


@dataclass
class Run:
    """What an estimator said, and what arrived."""

    estimates: list[tuple[float, float | None]] = field(default_factory=list)
    sent: int = 0
    lost: int = 0

    def after(self, second: float) -> list[float | None]:
        return [estimate for now, estimate in self.estimates if now >= second]


def run(
    path: Path,
    estimator: BandwidthEstimator,
    rate: Callable[[float, float | None], float],
    *,
    seconds: float,
    start: float = 100.0,
) -> Run:
    """Send at `rate(now, estimate)` bit/s in frames of 1/30 s, feed back every 100 ms."""
    result = Run()
    waiting: list[tuple[float, Outcome]] = []
    now = start
    next_feedback = start
    owed = 0.0
    while now < start + seconds:
        owed += rate(now - start, estimator.estimate) / 8 / 30
        while owed >= PACKET_BYTES / 2:
            size = min(PACKET_BYTES, int(owed))
            owed -= size
            arrived = path.arrival(now, size)
            told = arrived if arrived is not None else now + path.delay + path.queue
            waiting.append((told + path.delay, Outcome(now, arrived, size)))
            result.sent += 1
            result.lost += arrived is None
        if now >= next_feedback:
            next_feedback += FEEDBACK_SECONDS
            due = [outcome for told, outcome in waiting if told <= now]
            waiting = [(told, outcome) for told, outcome in waiting if told > now]
            if due:
                estimator.outcomes(sorted(due, key=lambda outcome: outcome.sent), now)
            result.estimates.append((now - start, estimator.estimate))
        now += 1 / 30
    return result

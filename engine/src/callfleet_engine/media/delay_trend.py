"""Whether a path's queue grows, from when packets left and when they arrived. No I/O.

The delay-based controller of draft-ietf-rmcat-gcc-02, sections 5.1 to 5.4, with the trendline that
libwebrtc has in place of its Kalman filter. Times are in seconds; both clocks may start anywhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

Usage = Literal["normal", "over", "under"]

BURST_SECONDS = 0.005
WINDOW_GROUPS = 20
MIN_GROUPS = 10
SMOOTHING = 0.9
GAIN = 4.0
MAX_DELTAS = 60
OVERUSE_SECONDS = 0.01
FIRST_THRESHOLD = 0.0125
MIN_THRESHOLD, MAX_THRESHOLD = 0.006, 0.6
THRESHOLD_UP, THRESHOLD_DOWN = 0.0087, 0.039
THRESHOLD_JUMP = 0.015
MIN_QUEUE_SECONDS = 0.05
"""Less than this above the least delay of the last seconds is jitter, whatever its trend."""
BASE_SECONDS = 5.0
STREAM_GAP_SECONDS = 2.0
"""Packets this far apart say nothing of each other's queue."""


class DelayTrend:
    """The trend of the one-way delay over the last twenty groups of packets."""

    def __init__(self) -> None:
        self.usage: Usage = "normal"
        self._threshold = FIRST_THRESHOLD
        self._restart()

    def _restart(self) -> None:
        self._first_sent: float | None = None
        self._last_sent = 0.0
        self._last_arrived = 0.0
        self._previous: tuple[float, float] | None = None
        self._accumulated = 0.0
        self._smoothed = 0.0
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW_GROUPS)
        self._deltas = 0
        self._over_for = 0.0
        self._trend = 0.0
        self._delay: float | None = None
        self._least = self._least_before = math.inf
        self._least_since = 0.0

    def add(self, sent: float, arrived: float) -> None:
        """One packet that arrived, in the order of sending."""
        if self._first_sent is None or abs(sent - self._last_sent) > STREAM_GAP_SECONDS:
            self._restart()
            self._first_sent = self._last_sent = sent
            self._last_arrived = arrived
            return
        if sent - self._first_sent <= BURST_SECONDS:
            self._last_sent = max(self._last_sent, sent)
            self._last_arrived = max(self._last_arrived, arrived)
            return
        self._group_ended()
        self._first_sent = self._last_sent = sent
        self._last_arrived = arrived

    def _group_ended(self) -> None:
        group = (self._last_sent, self._last_arrived)
        self._note_delay(self._last_arrived - self._last_sent)
        if self._previous is not None:
            sent = group[0] - self._previous[0]
            arrived = group[1] - self._previous[1]
            self._accumulated += arrived - sent
            self._smoothed = SMOOTHING * self._smoothed + (1 - SMOOTHING) * self._accumulated
            self._points.append((group[1], self._smoothed))
            self._deltas = min(self._deltas + 1, MAX_DELTAS)
            if len(self._points) >= MIN_GROUPS:
                self._detect(slope(self._points), max(arrived, 0.0), max(sent, 0.0))
        self._previous = group

    def _note_delay(self, delay: float) -> None:
        if self._last_sent - self._least_since > BASE_SECONDS:
            self._least_before, self._least = self._least, math.inf
            self._least_since = self._last_sent
        self._least = min(self._least, delay)
        before = self._delay if self._delay is not None else delay
        self._delay = SMOOTHING * before + (1 - SMOOTHING) * delay

    @property
    def queue(self) -> float:
        """How long packets wait at present, beyond the least delay of the last seconds."""
        if self._delay is None:
            return 0.0
        return self._delay - min(self._least, self._least_before)

    def _detect(self, trend: float, elapsed: float, sending: float) -> None:
        # Over a window of about a second a slope, of no unit, stands for so much growth in seconds.
        growth = self._deltas * trend * GAIN / 1000
        if growth > self._threshold:
            self._over_for += sending
            growing = self._over_for > OVERUSE_SECONDS and trend >= self._trend
            if growing and self.queue > MIN_QUEUE_SECONDS:
                self._over_for = 0.0
                self.usage = "over"
        else:
            self._over_for = 0.0
            self.usage = "under" if growth < -self._threshold else "normal"
        self._trend = trend
        self._adapt(abs(growth), elapsed)

    def _adapt(self, growth: float, elapsed: float) -> None:
        """Follow the path's own jitter, so that a lone competing flow does not starve it (5.4)."""
        if growth > self._threshold + THRESHOLD_JUMP:
            return
        rate = THRESHOLD_DOWN if growth < self._threshold else THRESHOLD_UP
        step = rate * (growth - self._threshold) * min(elapsed, 0.1) * 1000
        self._threshold = min(max(self._threshold + step, MIN_THRESHOLD), MAX_THRESHOLD)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line with the least squares through (x, y); 0 where all x are equal."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread

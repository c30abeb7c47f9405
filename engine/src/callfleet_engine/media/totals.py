"""Counters that outlive the sessions they count."""

from __future__ import annotations

from bisect import bisect_left

from callfleet_engine.media.interface import Histogram, MediaCounters

JITTER_BOUNDS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Totals:
    """One plane's totals; the paths of packets add to them directly."""

    __slots__ = (
        "_jitter_counts",
        "_jitter_sum",
        "forwarded_bytes",
        "forwarded_packets",
        "lost_packets_in",
        "lost_packets_out",
        "received_packets",
    )

    def __init__(self) -> None:
        self.received_packets = 0
        self.forwarded_packets = 0
        self.forwarded_bytes = 0
        self.lost_packets_in = 0
        self.lost_packets_out = 0
        self._jitter_counts = [0] * (len(JITTER_BOUNDS_SECONDS) + 1)
        self._jitter_sum = 0.0

    def forwarded(self, size: int) -> None:
        """A packet of so many bytes went out, none if 0."""
        if size:
            self.forwarded_packets += 1
            self.forwarded_bytes += size

    def observe_jitter(self, seconds: float) -> None:
        """One stream's jitter at one report."""
        self._jitter_counts[bisect_left(JITTER_BOUNDS_SECONDS, seconds)] += 1
        self._jitter_sum += seconds

    def snapshot(self) -> MediaCounters:
        """The totals as they are now."""
        buckets = []
        cumulative = 0
        for bound, count in zip(
            (*JITTER_BOUNDS_SECONDS, float("inf")), self._jitter_counts, strict=True
        ):
            cumulative += count
            buckets.append((bound, cumulative))
        return MediaCounters(
            received_packets=self.received_packets,
            forwarded_packets=self.forwarded_packets,
            lost_packets_in=self.lost_packets_in,
            lost_packets_out=self.lost_packets_out,
            jitter_seconds=Histogram(tuple(buckets), self._jitter_sum),
        )

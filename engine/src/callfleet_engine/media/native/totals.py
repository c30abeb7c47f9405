"""The extension's totals as those of the Python plane."""

from __future__ import annotations

from typing import NamedTuple

from callfleet_engine import _native
from callfleet_engine.media.interface import Dropped
from callfleet_engine.media.totals import Totals


class NativeFigures(NamedTuple):
    """As `Totals` of the crate has them."""

    received_packets: int
    forwarded_packets: int
    forwarded_bytes: int
    lost_packets_in: int
    lost_packets_out: int
    jitter_counts: list[int]
    jitter_sum: float
    malformed: int
    dropped: list[tuple[Dropped, int]]


def read_totals(plane: _native.Plane) -> NativeFigures:
    """Up to now."""
    return NativeFigures(*plane.totals())


class NativeTotals(Totals):
    """See `Totals`; nothing is added to it but by `take`."""

    __slots__ = ()

    def take(self, figures: NativeFigures) -> None:
        """The totals of this moment."""
        self.received_packets = figures.received_packets
        self.forwarded_packets = figures.forwarded_packets
        self.forwarded_bytes = figures.forwarded_bytes
        self.lost_packets_in = figures.lost_packets_in
        self.lost_packets_out = figures.lost_packets_out
        self._jitter_counts = figures.jitter_counts
        self._jitter_sum = figures.jitter_sum

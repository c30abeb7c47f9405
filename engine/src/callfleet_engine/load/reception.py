"""What arrived of one RTP stream, judged by its sequence numbers (RFC 3550, appendix A.3)."""

from __future__ import annotations

from dataclasses import dataclass

_HALF = 1 << 15
_ROUND = 1 << 16
_WINDOW = 1024
"""How many packets late one may come and still fill its gap: 10 s at 100 packets a second."""
_WINDOW_MASK = (1 << _WINDOW) - 1


@dataclass(slots=True)
class Reception:
    """Counts of one stream. Times are seconds of one monotonic clock."""

    packets: int = 0
    duplicates: int = 0
    longest_gap_seconds: float = 0.0
    first_at: float | None = None
    last_at: float | None = None
    _first: int | None = None
    _highest: int = 0
    _window: int = 0
    """Bit n: the packet n below the highest has come."""

    def packet(self, sequence_number: int, now: float) -> None:
        """Count a packet; one that comes late fills its gap, a copy is a duplicate."""
        if self.last_at is not None:
            self.longest_gap_seconds = max(self.longest_gap_seconds, now - self.last_at)
        else:
            self.first_at = now
        self.last_at = now
        if self._first is None:
            self._first = self._highest = sequence_number
            self._window = 1
            self.packets = 1
            return
        step = (sequence_number - self._highest) % _ROUND
        if step < _HALF:
            if step == 0:
                self.duplicates += 1
                return
            self._highest += step
            self._window = ((self._window << min(step, _WINDOW)) | 1) & _WINDOW_MASK
            self.packets += 1
            return
        behind = _ROUND - step
        if self._highest - behind < self._first:
            return  # older than the first one seen: not counted, not expected
        bit = 1 << behind
        if behind >= _WINDOW or self._window & bit:
            self.duplicates += 1
            return
        self._window |= bit
        self.packets += 1

    @property
    def expected(self) -> int:
        """Packets from the first to the highest sequence number."""
        return 0 if self._first is None else self._highest - self._first + 1

    @property
    def missing(self) -> int:
        """Expected packets that have not come."""
        return self.expected - self.packets

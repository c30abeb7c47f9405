"""What was sent to one subscriber and may still be reported on. No I/O."""

from __future__ import annotations

from array import array
from typing import NamedTuple

FEWEST, MOST = 256, 8192
"""Packets remembered; the most are about a second of a gigabit."""
FEEDBACK_SECONDS = 2.0
"""Feedback of a packet comes by then, or never."""

_LOST = 0x8000
_FIRST = 0x10000


class Sent(NamedTuple):
    """A packet's time in seconds and its bytes, and whether it was reported lost before."""

    time: float
    size: int
    lost: bool


class SentPackets:
    """Packets by transport-wide number. Plain arrays, since there is an entry for each packet.

    `next` is the number of the next packet; its lower 16 bits go out.
    """

    __slots__ = ("_mask", "_sizes", "_times", "next")

    def __init__(self) -> None:
        self.next = _FIRST
        self._mask = FEWEST - 1
        self._times = array("d", bytes(8 * FEWEST))
        self._sizes = array("H", bytes(2 * FEWEST))

    def note(self, now: float, size: int) -> None:
        """The next number was sent with a packet of `size` bytes, under 32,768."""
        slot = self.next & self._mask
        if self._sizes[slot] and now - self._times[slot] < FEEDBACK_SECONDS:
            slot = self._grow()
        self._times[slot] = now
        self._sizes[slot] = size
        self.next += 1

    def _grow(self) -> int:
        kept = self._mask + 1
        if kept < MOST:
            times, sizes = self._times, self._sizes
            self._mask = 2 * kept - 1
            self._times = array("d", bytes(16 * kept))
            self._sizes = array("H", bytes(4 * kept))
            for number in range(self.next - kept, self.next):
                self._times[number & self._mask] = times[number & (kept - 1)]
                self._sizes[number & self._mask] = sizes[number & (kept - 1)]
        return self.next & self._mask

    def reported(self, number: int, *, arrived: bool) -> Sent | None:
        """What feedback speaks of; None if it is gone, was never sent or is settled.

        What arrived is settled; what is lost may still arrive.
        """
        if not self.next - self._mask - 1 <= number < self.next:
            return None
        slot = number & self._mask
        size = self._sizes[slot]
        if not size:
            return None
        self._sizes[slot] = 0 if arrived else size | _LOST
        return Sent(self._times[slot], size & ~_LOST, bool(size & _LOST))

    def __len__(self) -> int:
        return self._mask + 1

"""One subscriber's sequence numbers: continuous over switches, without what is left out. No I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

MAX_SKIPPED = 512


class Numbering:
    """From a publisher's extended sequence numbers to a subscriber's, and back.

    A run begins with the packet after a start, a pause or a switch. Above `edge` the number of a
    packet is `extended + offset`: the path of packets does that by itself, and `sent` follows it.
    """

    __slots__ = ("_oldest", "_skipped", "edge", "offset", "sent")

    def __init__(self, before_first: int) -> None:
        self.sent = before_first
        """The highest number sent so far."""
        self.offset = 0
        self.edge = -1
        self._oldest = 0
        self._skipped: list[int] = []

    def begin(self, extended: int) -> None:
        """The packet of that number follows what was sent last."""
        self.offset = self.sent + 1 - extended
        self._oldest = extended
        self.edge = extended - 1
        self._skipped.clear()

    def skip(self, extended: int) -> bool:
        """Leave a packet out without a gap; False if a later one has its number fixed already."""
        if extended <= self.edge or extended + self.offset <= self.sent:
            return False
        self.offset -= 1
        self.edge = extended
        self._skipped.append(extended)
        if len(self._skipped) > MAX_SKIPPED:
            half = MAX_SKIPPED // 2
            self._oldest = self._skipped[half - 1] + 1
            del self._skipped[:half]
        return True

    def late(self, extended: int) -> int | None:
        """The number of a packet not above `edge`; None if it has none in this run."""
        skipped = self._skipped
        at = bisect_left(skipped, extended)
        if extended < self._oldest or (at < len(skipped) and skipped[at] == extended):
            return None
        return extended + self.offset + len(skipped) - at

    def source(self, number: int) -> int | None:
        """Whose number it is: the inverse; None if it was given in an earlier run."""
        skipped, count = self._skipped, len(self._skipped)
        passed = bisect_right(
            range(count), number, key=lambda i: skipped[i] + self.offset + count - i
        )
        extended = number - self.offset - (count - passed)
        return extended if extended >= self._oldest else None

"""Which pair of m-lines of a subscriber carries which publisher. No I/O.

m-lines are never reordered or removed (RFC 9429 section 5.2.2), so a pair that became free is
used again, and a publisher never moves.
"""

from __future__ import annotations

from collections.abc import Sequence


class Slots:
    """Pairs of m-lines in their order; each holds a publisher or is free."""

    def __init__(self) -> None:
        self.publishers: list[str | None] = []

    def assign(self, wanted: Sequence[str]) -> None:
        """Free the pairs of those who left and give each newcomer the first free one."""
        self.publishers = [p if p in wanted else None for p in self.publishers]
        for publisher in wanted:
            if publisher in self.publishers:
                continue
            if None in self.publishers:
                self.publishers[self.publishers.index(None)] = publisher
            else:
                self.publishers.append(publisher)

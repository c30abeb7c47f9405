"""Remembers what happened lately, in bounded memory."""

from __future__ import annotations

from collections.abc import Hashable

GENERATION = 4096


class RecentKeys:
    """The last 4,096 to 8,192 keys: enough to tell a retransmission from a new request."""

    def __init__(self) -> None:
        self._young: set[Hashable] = set()
        self._old: set[Hashable] = set()

    def add(self, key: Hashable) -> bool:
        """Remember a key; False where it was known already."""
        if key in self._young or key in self._old:
            return False
        if len(self._young) >= GENERATION:
            self._old, self._young = self._young, set()
        self._young.add(key)
        return True

"""A bound on how fast one client may send messages."""

from __future__ import annotations


class TokenBucket:
    """Allows `burst` at once and `per_second` in the long run."""

    def __init__(self, *, per_second: float, burst: int, now: float) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._level = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more is allowed at this time (seconds, never falling)."""
        self._level = min(self._burst, self._level + (now - self._at) * self._per_second)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

"""How much one user and all of them may have."""

from __future__ import annotations


class AllocationQuota:
    """Counts allocations, those under way included."""

    def __init__(self, *, total: int, per_user: int) -> None:
        self.capacity = total
        self.total = 0
        self.per_user = per_user
        self._users: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether the whole relay has no room left."""
        return self.total >= self.capacity

    def has_room_for(self, user: str) -> bool:
        """Whether this user may have one more."""
        return self._users.get(user, 0) < self.per_user

    def take(self, user: str) -> None:
        """Count one more."""
        self.total += 1
        self._users[user] = self._users.get(user, 0) + 1

    def give_back(self, user: str) -> None:
        """Count one less; a user without any is forgotten."""
        self.total -= 1
        left = self._users[user] - 1
        if left:
            self._users[user] = left
        else:
            del self._users[user]


class TokenBucket:
    """A bit rate with a burst of one second; what exceeds it is to be dropped."""

    __slots__ = ("_bits_per_second", "_filled_at", "_tokens")

    def __init__(self, bits_per_second: int, now: float) -> None:
        self._bits_per_second = float(bits_per_second)
        self._tokens = self._bits_per_second
        self._filled_at = now

    def admits(self, size: int, now: float) -> bool:
        """Take `size` bytes at monotonic second `now`, if they are there."""
        gained = max(0.0, now - self._filled_at) * self._bits_per_second
        self._tokens = min(self._bits_per_second, self._tokens + gained)
        self._filled_at = now
        if self._tokens < size * 8:
            return False
        self._tokens -= size * 8
        return True

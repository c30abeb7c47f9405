"""How much one user and all of them may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class AllocationQuota:
    """Counts allocations: those under way and reserved ports are among them."""

    def __init__(self, *, total: int, per_user: int) -> None:
        self.capacity = total
        self.total = 0
        self.per_user = per_user
        self._users: dict[str, int] = {}

    def has_room(self, places: int) -> bool:
        """Whether the whole relay has room for so many more."""
        return self.total + places <= self.capacity

    def has_room_for(self, user: str, places: int = 1) -> bool:
        """Whether this user may have so many more."""
        return self._users.get(user, 0) + places <= self.per_user

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
    """A rate with a burst; what exceeds it is to be refused or dropped."""

    __slots__ = ("_burst", "_filled_at", "_rate", "_tokens")

    def __init__(self, rate: float, now: float, burst: float | None = None) -> None:
        """`rate`: units a second; `burst`: units, by default those of one second."""
        self._rate = float(rate)
        self._burst = self._rate if burst is None else burst
        self._tokens = self._burst
        self._filled_at = now

    def take(self, units: float, now: float) -> bool:
        """Take `units` at monotonic second `now`, if they are there."""
        gained = max(0.0, now - self._filled_at) * self._rate
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < units:
            return False
        self._tokens -= units
        return True

    def admits(self, size: int, now: float) -> bool:
        """Take `size` bytes of a bucket that counts bits, if they are there."""
        return self.take(size * 8, now)

    def spend(self, size: int, now: float) -> float:
        """Take `size` bytes of a bucket that counts bits, there or not; seconds until they are."""
        self.take(0, now)
        self._tokens -= size * 8
        return max(0.0, -self._tokens / self._rate)

    def give_back(self, size: int) -> None:
        """Return what was taken for bytes that did not go after all."""
        self._tokens = min(self._burst, self._tokens + size * 8)


class SharedBucket:
    """An allocation's bucket and its user's: a packet takes of both or of none."""

    __slots__ = ("_own", "_users")

    def __init__(self, own: TokenBucket, users: TokenBucket) -> None:
        self._own = own
        self._users = users

    def admits(self, size: int, now: float) -> bool:
        """As `TokenBucket.admits`."""
        if not self._own.admits(size, now):
            return False
        if self._users.admits(size, now):
            return True
        self._own.give_back(size)
        return False

    def spend(self, size: int, now: float) -> float:
        """As `TokenBucket.spend`, of both."""
        return max(self._own.spend(size, now), self._users.spend(size, now))


class Limit(Protocol):
    """A bucket that counts bits, or two as one."""

    def admits(self, size: int, now: float) -> bool:
        """Take `size` bytes at monotonic second `now`, if they are there."""

    def spend(self, size: int, now: float) -> float:
        """Take `size` bytes, there or not; seconds until they are."""


RateLimit = Limit | None
"""What a data plane asks before it relays; None where there is no limit and nothing to ask."""


@dataclass(slots=True)
class _UserBuckets:
    upstream: TokenBucket
    downstream: TokenBucket
    sessions: int = 0


class Rates(Protocol):
    """The limits of sessions, and of the users that they belong to."""

    def open(self, user: str, now: float) -> tuple[RateLimit, RateLimit]:
        """Limits of a new session, from its client and to it; `close` gives them back."""

    def close(self, user: str) -> None:
        """A session of this user has ended."""


class BitRates:
    """Limits of each allocation and of each user, in each direction; bits a second, 0 for none."""

    def __init__(self, *, per_allocation: int = 0, per_user: int = 0) -> None:
        self._per_allocation = per_allocation
        self._per_user = per_user
        self._users: dict[str, _UserBuckets] = {}

    def open(self, user: str, now: float) -> tuple[RateLimit, RateLimit]:
        """Limits of a new session, from its client and to it; `close` gives them back."""
        users = self._of_user(user, now)
        if users is not None:
            users.sessions += 1
            return self._limit(users.upstream, now), self._limit(users.downstream, now)
        return self._limit(None, now), self._limit(None, now)

    def close(self, user: str) -> None:
        """A session of this user has ended."""
        users = self._users.get(user)
        if users is not None:
            users.sessions -= 1
            if not users.sessions:
                del self._users[user]

    def _of_user(self, user: str, now: float) -> _UserBuckets | None:
        if not self._per_user:
            return None
        users = self._users.get(user)
        if users is None:
            buckets = (TokenBucket(self._per_user, now), TokenBucket(self._per_user, now))
            users = _UserBuckets(*buckets)
            self._users[user] = users
        return users

    def _limit(self, users: TokenBucket | None, now: float) -> RateLimit:
        if not self._per_allocation:
            return users
        own = TokenBucket(self._per_allocation, now)
        return own if users is None else SharedBucket(own, users)

"""When each key is due: one line of work for all objects, as a pure state machine.

Rules, all but the last the same as of client-go's workqueue:
- A key waits at most once. Adding a waiting key again can only make it due earlier.
- A key that is being worked on is not handed out a second time; added meanwhile, it is due when
  the work is done.
- Keys that are due are handed out in the order in which they became due.
- After an error a key is due later and later, with jitter; success forgets the errors. A change
  meanwhile brings it back no sooner, or a failing round that writes something would wake itself.
- What a change has asked for goes ahead of what is looked at anyway, up to a lead: with thousands
  of keys those may be seconds late.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST = 1.0
BACKOFF_MAX = 60.0
GRAIN = 0.25
"""Seconds: keys that come back by themselves do so together, at multiples of it. To wake up for
each costs as much as its round."""
LEAD = 10.0
"""Seconds that a key may be late before those that a change has asked for stand behind it."""
_MAX_EXPONENT = 16  # beyond it BACKOFF_MAX holds anyway, and a float cannot overflow


def backoff(errors: int, jitter: float) -> float:
    """Seconds to wait after the given number of errors in a row; `jitter` is in [0, 1).

    Doubles from BACKOFF_FIRST to BACKOFF_MAX; half of it is random, so that objects that failed
    together do not come back together.
    """
    longest = min(BACKOFF_MAX, BACKOFF_FIRST * 2.0 ** min(max(errors, 1) - 1, _MAX_EXPONENT))
    return longest * (0.5 + 0.5 * jitter)


@dataclass(slots=True)
class Schedule(Generic[K]):
    """Which keys wait, until when, and which are being worked on. Times are in seconds."""

    jitter: Callable[[], float]
    """Random numbers in [0, 1)."""
    _due: dict[K, float] = field(default_factory=dict)
    _changed: list[tuple[float, int, K]] = field(default_factory=list)
    """Heap of the keys that were added."""
    _again: list[tuple[float, int, K]] = field(default_factory=list)
    """Heap of those that come back by themselves."""
    _working: dict[K, float] = field(default_factory=dict)
    _errors: dict[K, int] = field(default_factory=dict)
    _not_before: dict[K, float] = field(default_factory=dict)
    _count: int = 0

    def add(self, key: K, at: float) -> None:
        """Make the key due at the given time, or earlier if it already was."""
        at = max(at, self._not_before.get(key, at))
        if self._due.get(key, float("inf")) <= at:
            return
        self._due[key] = at
        if key not in self._working:
            self._push(self._changed, key, at)

    def take(self, now: float) -> K | None:
        """The next key that is due, from now on being worked on; None when there is none."""
        changed, again = self._first_due(self._changed), self._first_due(self._again)
        if min(changed, again) > now:
            return None
        is_change = changed <= now and changed <= again + LEAD
        _, _, key = heapq.heappop(self._changed if is_change else self._again)
        del self._due[key]
        self._working[key] = now
        return key

    def done(self, key: K, again: float | None) -> None:
        """The work on the key has succeeded; it is due again at `again` or up to GRAIN later, or
        sooner if added."""
        self._errors.pop(key, None)
        self._not_before.pop(key, None)
        self._finish(key, None if again is None else math.ceil(again / GRAIN) * GRAIN)

    def failed(self, key: K, now: float, at_least: float = 0.0) -> float:
        """The work on the key has failed; returns the seconds until it is tried again.

        `at_least` is what the server asked for (Retry-After).
        """
        errors = self._errors[key] = self._errors.get(key, 0) + 1
        delay = max(at_least, backoff(errors, self.jitter()))
        self._due.pop(key, None)
        self._not_before[key] = now + delay
        self._finish(key, now + delay)
        return delay

    def next_due(self) -> float | None:
        """When the next key becomes due; None when nothing waits."""
        first = min(self._first_due(self._changed), self._first_due(self._again))
        return None if first == float("inf") else first

    def longest_wait(self, now: float) -> float:
        """Seconds for which a key has been due or worked on without a result; 0 if none is."""
        since = min((*self._due.values(), *self._working.values()), default=now)
        return max(0.0, now - since)

    def __len__(self) -> int:
        """Keys that wait or are being worked on."""
        return len(self._due.keys() | self._working)

    def _finish(self, key: K, again: float | None) -> None:
        self._working.pop(key, None)
        if again is not None and self._due.get(key, float("inf")) > again:
            self._due[key] = again
            self._push(self._again, key, again)
        elif key in self._due:
            self._push(self._changed, key, self._due[key])

    def _push(self, heap: list[tuple[float, int, K]], key: K, at: float) -> None:
        self._count += 1  # keeps the order of keys that are due at the same time
        heapq.heappush(heap, (at, self._count, key))

    def _first_due(self, heap: list[tuple[float, int, K]]) -> float:
        """When the first key of a heap is due; infinity if none waits there. Drops what has been
        made due earlier, or is being worked on."""
        while heap:
            at, _, key = heap[0]
            if self._due.get(key) == at and key not in self._working:
                return at
            heapq.heappop(heap)
        return float("inf")

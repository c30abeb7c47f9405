"""Who may act: the rules of the Lease, as pure state machines with the clocks given.

Time is what makes two operators possible, so each side believes the clock that is worse for it:

- The leader takes a renewal to be as old as any clock says since it was *sent*, and stops acting
  when that is TENURE. The monotonic clock tells a hang and a stopped process, the boot clock a
  suspended machine, the wall clock a paused virtual machine whose clock is put right afterwards.
- A candidate waits until it has seen the same Lease for DURATION by its own monotonic clock, which
  a jump of the wall clock does not touch. Times written into the Lease are for people only.

So whoever takes over begins DURATION after the last renewal arrived at the earliest, and the one
before has stopped by TENURE. Requests that it sent until then have the difference to be answered.

Source of the protocol: Kubernetes, "Leases"; client-go's tools/leaderelection, which has the same
fields and another choice of times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from callfleet_operator.gateway.errors import NotLeadingError

DURATION: Final = 10
"""Seconds without a renewal after which another may take the Lease.

A leader that dies is replaced after DURATION + RETRY at the latest, and its successor needs about a
second to look at everything: inside the 15 s that are promised."""
TENURE: Final = 7.0
"""Seconds after the last confirmed renewal until which the leader acts: two attempts without an
answer fit in, and more that are refused."""
RETRY: Final = 2.0
"""Seconds from one renewal, or look of a candidate, to the next."""
ATTEMPT: Final = 2.0
"""Seconds that one request for the Lease may take."""
LONGEST_FOREIGN_DURATION: Final = 60
"""Seconds; a Lease that claims more, by hand or by mistake, must not keep everybody away."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of all clocks, in seconds; only differences mean something."""

    monotonic: float
    """Goes on while the process is stopped."""
    boottime: float
    """Goes on while the machine is suspended, too."""
    wall: float
    """May jump; is put right after a virtual machine was paused."""

    @classmethod
    def now(cls) -> Instant:
        """The clocks as they are."""
        # Systems without a boot clock have one monotonic clock for both.
        boot_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return cls(time.monotonic(), time.clock_gettime(boot_clock), time.time())

    def longest_since(self, earlier: Instant) -> float:
        """Seconds since an earlier reading, by the clock that says most."""
        return max(
            self.monotonic - earlier.monotonic,
            self.boottime - earlier.boottime,
            self.wall - earlier.wall,
        )


class Tenure:
    """Whether this process may act. Once over it never begins again.

    Read by the event loop and by the thread that watches it.
    """

    def __init__(self, clock: Callable[[], Instant] = Instant.now, *, limited: bool = True) -> None:
        """`limited` False: it acts without a Lease, from now on and for ever."""
        self._clock = clock
        self._limited = limited
        self._renewed: Instant | None = None
        self._over = ""

    @property
    def leading(self) -> bool:
        """Whether it may act now."""
        return not self._problem()

    def check(self) -> None:
        """Raises NotLeadingError unless it may act now."""
        problem = self._problem()
        if problem:
            raise NotLeadingError("change refused", 0, problem)

    def confirm(self, sent: Instant) -> None:
        """The API server has taken a renewal that was sent at this time. A tenure that had ended
        meanwhile stays ended: what happened since is not known."""
        if self._renewed is None or not self._problem():
            self._renewed = sent
        self._problem()

    def end(self, reason: str) -> None:
        """It must not act any more."""
        self._over = self._over or reason

    def age(self) -> float:
        """Seconds since the last confirmed renewal was sent; 0 before the first."""
        return self._clock().longest_since(self._renewed) if self._renewed else 0.0

    def _problem(self) -> str:
        if self._over or not self._limited:
            return self._over
        if self._renewed is None:
            return "this replica stands by, another one leads"
        now = self._clock()
        age = now.longest_since(self._renewed)
        if age >= TENURE:
            by_monotonic = now.monotonic - self._renewed.monotonic
            self._over = (
                f"the last confirmed renewal of the Lease is {age:.1f} s old "
                f"({by_monotonic:.1f} s by the monotonic clock), more than {TENURE:g} s"
            )
        return self._over


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says."""

    holder: str
    """Empty: it was given back."""
    duration: int
    """Seconds."""
    transitions: int
    version: str
    """resourceVersion."""

    @classmethod
    def of(cls, body: dict[str, Any]) -> LeaseRecord:
        """Read an object of coordination.k8s.io/v1."""
        spec = body.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            duration=spec.get("leaseDurationSeconds") or DURATION,
            transitions=spec.get("leaseTransitions") or 0,
            version=body["metadata"]["resourceVersion"],
        )


class Candidate:
    """Decides when a Lease that somebody holds may be taken."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._seen: LeaseRecord | None = None
        self._since = 0.0

    @property
    def holder(self) -> str:
        """Who held it when it was last looked at; empty: nobody, or it was never seen."""
        return self._seen.holder if self._seen else ""

    def wait(self, lease: LeaseRecord | None, now: float) -> float:
        """Seconds until the Lease that was just read may be taken; 0: now.

        `lease` None: there is none. `now` is monotonic, read after the answer had come.
        """
        if lease is None:
            # Somebody has deleted it. Its holder may not have noticed yet.
            return self._remaining(now)
        if self._seen is None or lease.version != self._seen.version:
            self._seen, self._since = lease, now
        return self._remaining(now)

    def _remaining(self, now: float) -> float:
        if self._seen is None or self._seen.holder in ("", self._identity):
            return 0.0
        # A release with another duration may hold it.
        duration = min(max(self._seen.duration, DURATION), LONGEST_FOREIGN_DURATION)
        return max(0.0, self._since + duration - now)

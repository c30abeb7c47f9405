"""What a round does only as often as all rounds together can bear."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from callfleet_operator.reconcile.templates import Revisions

COMPARED_A_SECOND: Final = 3.0
"""Fleets whose objects are read and compared though nothing says that they differ. Up to 45 fleets
all are in each tick of 15 s; of 2,000 each one is every eleven minutes."""
COMPARED_AT_ONCE: Final = 45.0
TOLD_A_SECOND: Final = 20.0
"""Pods of before the start of this operator that are told what others may have told them. A call
to a pod costs as much as a round, and with 2,000 fleets the first rounds are what matters."""
TOLD_AT_ONCE: Final = 200.0
TELL_AGAIN: Final = 300.0
"""Seconds after which a pod is told again what it was told already."""
TOLD_AGAIN_A_SECOND: Final = 5.0
"""Pods that are, at most: up to 1,500 pods every five minutes, 20,000 every 67."""


@dataclass(slots=True)
class Pace:
    """So many a second, and so many at once after a pause (a token bucket)."""

    clock: Callable[[], float]
    """Monotonic, in seconds."""
    a_second: float = float("inf")
    at_once: float = float("inf")
    _spent: float = 0.0
    _at: float = 0.0

    def take(self) -> bool:
        """Whether one more may be done now; it counts as done."""
        now = self.clock()
        if self.a_second == float("inf"):
            return True
        self._spent = max(0.0, self._spent - (now - self._at) * self.a_second)
        self._at = now
        if self._spent + 1 > self.at_once:
            return False
        self._spent += 1
        return True


@dataclass(frozen=True, slots=True)
class Settled:
    """The objects of a fleet were as they should be."""

    basis: Hashable
    """All that they are rendered from, as far as it can change while the operator runs."""
    revisions: Revisions
    compared: float
    """When, by the clock of `Pace`; negative infinity: by an earlier operator."""

"""Which pod hosts a new call.

Best fit: the fullest open pod that stays within the target, so that scaling in finds empty pods.
When none does, two pods drawn at random among those within the new-call limit, the emptier one
of them: heartbeats are seconds old, and with a rule that names one best pod every entry pod would
send its calls there at once (Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from callfleet_engine.calls.admission import EXPECTED_PARTICIPANTS
from callfleet_engine.limits import Limits


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that might take the call, as its latest heartbeat shows it."""

    uid: str
    address: str
    open: bool
    used: int
    """Participants, joins under way, and calls sent there since the heartbeat."""
    capacity: int

    @property
    def utilisation_with_call(self) -> float:
        """Share of the capacity in use once the call is there."""
        return (self.used + EXPECTED_PARTICIPANTS) / self.capacity

    def admits_within(self, percent: int) -> bool:
        """Whether the call fits within this share; an empty pod takes one in any case."""
        if not self.open:
            return False
        return self.used == 0 or self.utilisation_with_call * 100 <= percent


def place(candidates: Iterable[Candidate], limits: Limits, random: Random) -> Candidate | None:
    """The pod for a new call, None if none may take one.

    Capacities are the candidates' own; of `limits` only the percentages count.
    """
    admitting = [
        candidate
        for candidate in sorted(candidates, key=lambda candidate: candidate.uid)
        if candidate.admits_within(limits.new_call_limit_percent)
    ]
    fitting = [
        candidate
        for candidate in admitting
        if candidate.utilisation_with_call * 100 <= limits.target_utilization_percent
    ]
    if fitting:
        return max(fitting, key=lambda candidate: candidate.utilisation_with_call)
    if not admitting:
        return None
    return min(
        random.sample(admitting, min(2, len(admitting))),
        key=lambda candidate: candidate.utilisation_with_call,
    )

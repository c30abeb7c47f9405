"""Which pod hosts a new call, or one that leaves its pod.

Best fit: the fullest open pod that stays within the target, so that scaling in finds empty pods.
When none does, two pods drawn at random among those within the new-call limit, the emptier one
of them: heartbeats are seconds old, and with a rule that names one best pod every entry pod would
send its calls there at once (Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing").

A call that moves takes a place for each who is in it. Where no pod has room for all of them within
the new-call limit, it may fill a pod: the people are there already.
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

    def utilisation_with(self, places: int) -> float:
        """Share of the capacity in use once a call of so many places is there."""
        return (self.used + places) / self.capacity

    def admits_within(self, percent: int, places: int) -> bool:
        """Whether the call fits within this share; an empty pod takes one in any case."""
        if not self.open:
            return False
        return self.used == 0 or self.utilisation_with(places) * 100 <= percent


def place(candidates: Iterable[Candidate], limits: Limits, random: Random) -> Candidate | None:
    """The pod for a new call, None if none may take one.

    Capacities are the candidates' own; of `limits` only the percentages count.
    """
    return _place(
        candidates,
        EXPECTED_PARTICIPANTS,
        limits.target_utilization_percent,
        limits.new_call_limit_percent,
        random,
    )


def place_moved(
    candidates: Iterable[Candidate], participants: int, limits: Limits, random: Random
) -> Candidate | None:
    """The pod for a call of so many participants that leaves its own, None if none has room."""
    places = max(EXPECTED_PARTICIPANTS, participants)
    willing = tuple(candidates)
    for limit in (limits.new_call_limit_percent, 100):
        chosen = _place(willing, places, limits.target_utilization_percent, limit, random)
        if chosen is not None:
            return chosen
    return None


def _place(
    candidates: Iterable[Candidate], places: int, target: int, limit: int, random: Random
) -> Candidate | None:
    def utilisation(candidate: Candidate) -> float:
        return candidate.utilisation_with(places)

    admitting = [
        candidate
        for candidate in sorted(candidates, key=lambda candidate: candidate.uid)
        if candidate.admits_within(limit, places)
    ]
    fitting = [candidate for candidate in admitting if utilisation(candidate) * 100 <= target]
    if fitting:
        return max(fitting, key=utilisation)
    if not admitting:
        return None
    return min(random.sample(admitting, min(2, len(admitting))), key=utilisation)

"""Every state that can be reached, each looked at once, and what must hold there.

- No pod with calls is deleted.
- Bounds: no more open pods are planned than maxReplicas, none fewer than minReplicas, no more
  pods are made than maxTotalReplicas, and each ordinal exists once.
- Never below what is in use: a scale-in leaves places for every participant, on draining pods too.
- Nothing shrinks on unknown: while no load is known, no lower number and no cordon but down to
  maxReplicas.
- No limit cycle: while nobody comes or goes, ticks alone lead to a state that stays, and in which
  no pod is made, cordoned or deleted, whether pods that start become ready or never do.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from callfleet_operator.observation import Admission
from callfleet_operator.plan.decision import Cordon, Create, Drain
from callfleet_operator.plan.reasons import Reason
from tests.model.fleet import Model, Round, State, start

Origins = dict[State, tuple[State, str] | None]


class BrokenRuleError(AssertionError):
    """A rule does not hold; the message has the way from the start to where."""


@dataclass(frozen=True)
class Found:
    """What a search has seen."""

    states: int
    transitions: int
    closed: bool
    """Whether every state that can be reached was looked at."""
    longest_settling: int = 0
    """Ticks until nothing changes any more, at most."""


@dataclass(frozen=True)
class _Looks:
    """What the operator makes of a state, checked and remembered."""

    model: Model
    known: dict[State, tuple[State, ...]]

    def after(self, state: State) -> tuple[State, ...]:
        """The states that one look may lead to."""
        if state not in self.known:
            found = []
            for made in self.model.rounds(state):
                check(self.model, made)
                found.append(made.after)
            self.known[state] = tuple(dict.fromkeys(found))
        return self.known[state]


def search(model: Model, most_states: int = 100_000_000) -> Found:
    """Go through all states; raises BrokenRuleError at the first that is not as it must be."""
    first = start(model)
    origins: Origins = {first: None}
    looks = _Looks(model, {})
    waiting = deque([first])
    transitions = 0
    while waiting and len(origins) < most_states:
        state = waiting.popleft()
        for event, changed, wakes in model.events(state):
            try:
                reached = looks.after(changed) if wakes else (changed,)
            except AssertionError as broken:
                raise BrokenRuleError(_story(origins, state, event, str(broken))) from broken
            for after in reached:
                transitions += 1
                if after not in origins:
                    origins[after] = state, event
                    waiting.append(after)
    if waiting:
        return Found(len(origins), transitions, closed=False)

    def nothing_starts(state: State) -> tuple[State, ...]:
        return looks.after(model.older(state))

    def all_start(state: State) -> tuple[State, ...]:
        while (changed := model.one_ready(state)) is not None:
            state = changed
        return looks.after(model.older(state))

    longest = max(settling(model, origins, after) for after in (nothing_starts, all_start))
    return Found(len(origins), transitions, closed=True, longest_settling=longest)


def check(model: Model, made: Round) -> None:
    """What must hold of every look of the operator."""
    before, decision, steps, after = made
    spec = model.spec.scaling
    present, desired = decision.present_open, decision.desired_open
    assert spec.min_replicas <= desired <= spec.max_replicas, f"{desired} is out of bounds"

    created = any(isinstance(step, Create) for step in steps)
    assert not created or len(after.pods) <= model.max_total, "more pods than maxTotalReplicas"

    places = min(math.ceil(before.participants / model.capacity), spec.max_replicas)
    if desired < present:
        assert desired >= places, f"{desired} pods for {before.participants} participants"
    if before.silent:
        assert desired >= min(present, spec.max_replicas), f"{present} to {desired} on unknown"
    if any(
        isinstance(step, Cordon) and step.reason == Reason.SURPLUS and step.pod.ready
        for step in steps
    ):
        left = sum(1 for one in after.pods if one.ready and one.admission is Admission.OPEN)
        # bounds hold whatever is known
        least = spec.max_replicas if before.silent else max(places, desired)
        assert left >= least, f"{left} of {least} pods are left for {before.participants} people"


_UNDER_WAY: Final = -1


def settling(
    model: Model, origins: Origins, successors: Callable[[State], tuple[State, ...]]
) -> int:
    """Ticks until a state follows upon itself and is at rest, at most.

    Raises BrokenRuleError where none does: a way back to an earlier state, or one that stays the
    same by making and removing pods.
    """
    ticks: dict[State, int] = {}
    for first in origins:
        path = [first]
        while path:
            state = path[-1]
            if ticks.get(state, _UNDER_WAY) != _UNDER_WAY:
                path.pop()
                continue
            ticks[state] = _UNDER_WAY
            following = [one for one in successors(state) if one != state]
            if any(ticks.get(one) == _UNDER_WAY for one in following):
                told = "no rest:\n" + "\n".join(str(one) for one in path)
                raise BrokenRuleError(_story(origins, first, "ticks", told))
            new = next((one for one in following if one not in ticks), None)
            if new is not None:
                path.append(new)
                continue
            if not following:
                _at_rest(model, origins, state)
            ticks[state] = 1 + max((ticks[one] for one in following), default=-1)
    return max(ticks.values())


def _at_rest(model: Model, origins: Origins, state: State) -> None:
    for made in model.rounds(model.older(state)):
        if not all(isinstance(step, Drain) for step in made.steps):
            told = f"at rest with {made.steps}"
            raise BrokenRuleError(_story(origins, state, "tick", told))


def _story(origins: Origins, state: State, event: str, broken: str) -> str:
    lines = [f"then: {event}", f"broken: {broken}"]
    at: State | None = state
    while at is not None:
        origin = origins.get(at)
        lines.insert(0, f"{origin[1] if origin else 'start'} -> {at}")
        at = origin[0] if origin else None
    return "\n".join(["", *lines])

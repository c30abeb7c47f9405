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
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from callfleet_operator.observation import Admission
from callfleet_operator.plan.decision import Cordon, Create, Drain, Step
from callfleet_operator.plan.reasons import Reason
from tests.model.fleet import Model, Pod, Remembered, Round, State, start

_Part = TypeVar("_Part", bound=Hashable)

Origins = dict[int, int]
"""Packed states, and from which each was reached first; the first of all from itself."""


class BrokenRuleError(AssertionError):
    """A rule does not hold; the message has the way from the start to where."""


@dataclass(frozen=True)
class Found:
    """What a search has seen."""

    states: int
    transitions: int
    closed: bool
    """Whether every state that can be reached was looked at."""
    steps: frozenset[type[Step]]
    """What the operator has done on the way."""
    longest_settling: int = 0
    """Ticks until nothing changes any more, at most."""


class _Numbered(Generic[_Part]):
    """Things and their numbers, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[_Part, int] = {}
        self._parts: list[_Part] = []

    def __getitem__(self, number: int) -> _Part:
        return self._parts[number]

    def number(self, part: _Part) -> int:
        number = self._numbers.setdefault(part, len(self._parts))
        if number == len(self._parts):
            self._parts.append(part)
        return number


class _Packing:
    """States as integers: there are many, made of few different parts."""

    def __init__(self) -> None:
        self._pods = _Numbered[tuple[Pod, ...]]()
        self._memories = _Numbered[Remembered]()

    def pack(self, state: State) -> int:
        memory = self._memories.number(state.memory)
        return (self._pods.number(state.pods) << 32 | memory) << 1 | state.silent

    def unpack(self, packed: int) -> State:
        parts, silent = packed >> 1, bool(packed & 1)
        return State(self._pods[parts >> 32], self._memories[parts & 0xFFFFFFFF], silent)


class _Search:
    """What is known so far. What the operator makes of a state is checked and remembered."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.packing = _Packing()
        self.first = self.packing.pack(start(model))
        self.origins: Origins = {self.first: self.first}
        self.transitions = 0
        self.steps: set[type[Step]] = set()
        self._looks: dict[int, tuple[int, ...]] = {}

    def after_look(self, state: State) -> tuple[int, ...]:
        """The states that one look may lead to."""
        packed = self.packing.pack(state)
        if packed not in self._looks:
            found = []
            for made in self.model.rounds(state):
                check(self.model, made)
                self.steps.update(map(type, made.steps))
                found.append(self.packing.pack(made.after))
            self._looks[packed] = tuple(dict.fromkeys(found))
        return self._looks[packed]

    def following(self, packed: int) -> Iterator[tuple[str, int]]:
        """All events in a state and where they lead. Raises BrokenRuleError."""
        for event, changed, wakes in self.model.events(self.packing.unpack(packed)):
            try:
                reached = self.after_look(changed) if wakes else (self.packing.pack(changed),)
            except AssertionError as broken:
                raise BrokenRuleError(self.story(packed, event, str(broken))) from broken
            for after in reached:
                yield event, after

    def go_through(self, most_states: int) -> bool:
        """Find all states; False if there are more than so many."""
        waiting = deque([self.first])
        while waiting and len(self.origins) < most_states:
            packed = waiting.popleft()
            for _, after in self.following(packed):
                self.transitions += 1
                if after not in self.origins:
                    self.origins[after] = packed
                    waiting.append(after)
        return not waiting

    def story(self, packed: int, event: str, broken: str) -> str:
        """The way to a state, and what is wrong after what happens there."""
        lines = [f"then: {event}", f"broken: {broken}"]
        while (origin := self.origins[packed]) != packed:
            happened = next(name for name, after in self.following(origin) if after == packed)
            lines.insert(0, f"{happened} -> {self.packing.unpack(packed)}")
            packed = origin
        return "\n".join(["", f"start -> {self.packing.unpack(packed)}", *lines])


def search(model: Model, most_states: int = 100_000_000) -> Found:
    """Go through all states; raises BrokenRuleError at the first that is not as it must be."""
    so_far = _Search(model)
    closed = so_far.go_through(most_states)
    found = Found(
        len(so_far.origins), so_far.transitions, closed=closed, steps=frozenset(so_far.steps)
    )
    if not closed:
        return found

    def nothing_starts(packed: int) -> tuple[int, ...]:
        return so_far.after_look(model.older(so_far.packing.unpack(packed)))

    def all_start(packed: int) -> tuple[int, ...]:
        state = so_far.packing.unpack(packed)
        while (changed := model.one_ready(state)) is not None:
            state = changed
        return so_far.after_look(model.older(state))

    longest = max(_settling(so_far, after) for after in (nothing_starts, all_start))
    return replace(found, longest_settling=longest)


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


def _settling(so_far: _Search, successors: Callable[[int], tuple[int, ...]]) -> int:
    """Ticks until a state follows upon itself and is at rest, at most.

    Raises BrokenRuleError where none does: a way back to an earlier state, or one that stays the
    same by making and removing pods.
    """
    ticks: dict[int, int] = {}
    for first in so_far.origins:
        path = [first]
        while path:
            state = path[-1]
            if ticks.get(state, _UNDER_WAY) != _UNDER_WAY:
                path.pop()
                continue
            ticks[state] = _UNDER_WAY
            following = [one for one in successors(state) if one != state]
            if any(ticks.get(one) == _UNDER_WAY for one in following):
                told = "no rest:\n" + "\n".join(str(so_far.packing.unpack(one)) for one in path)
                raise BrokenRuleError(so_far.story(first, "ticks", told))
            new = next((one for one in following if one not in ticks), None)
            if new is not None:
                path.append(new)
                continue
            if not following:
                _at_rest(so_far, state)
            ticks[state] = 1 + max((ticks[one] for one in following), default=-1)
    return max(ticks.values())


def _at_rest(so_far: _Search, packed: int) -> None:
    model = so_far.model
    for made in model.rounds(model.older(so_far.packing.unpack(packed))):
        if not all(isinstance(step, Drain) for step in made.steps):
            raise BrokenRuleError(so_far.story(packed, "tick", f"at rest with {made.steps}"))

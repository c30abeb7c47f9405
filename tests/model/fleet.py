"""A fleet of a few engine pods as a state machine around the real plan and the real steps.

A state holds all that a decision depends on, with times relative to now and in whole ticks, and
what makes no more difference cut off, so that there are finitely many and as few as can be. Pods
are told apart by what is the matter with them alone: their order is that of their states. Where it
depends on ordinals which pod goes or comes back, every one that it could be does, in a world of its
own.

The environment is as unkind as it may be: calls come to any pod that would take one and leave any,
pods become ready or die at any moment, Prometheus goes silent together with all pods, and the
operator forgets everything. It does not do what the API server's preconditions and the pod's own
seal rule out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import groupby, permutations
from operator import itemgetter
from typing import Final, NamedTuple

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.observation import Admission, FleetPod, Observation, Process
from callfleet_operator.plan import engines
from callfleet_operator.plan import steps as plan_steps
from callfleet_operator.plan.decision import (
    Cordon,
    Create,
    Decision,
    Delete,
    Drain,
    Memory,
    Proposal,
    Recommendation,
    ScaleEvent,
    Step,
    Undrain,
)
from callfleet_operator.plan.fleet import RESPAWN_DELAY, START_BUDGET
from callfleet_operator.plan.reasons import Reason
from tests.callfleet_operator.plan.samples import (
    AWAY,
    NOW,
    REVISION,
    WELL,
    cluster,
    known,
    pod,
    unknown,
)

TICK: Final = timedelta(seconds=60)
"""Longer than the operator's own, so that few of them make up every window and budget."""
OUT_PODS: Final = 2
IN_PODS: Final = 1
"""Rates a tick."""
BROKEN: Final = START_BUDGET // TICK
"""Ticks after which a pod that is not ready counts as broken: older ones are all the same."""
ENDED: Final = RESPAWN_DELAY // TICK
"""The same of a pod that is dead."""


class Pod(NamedTuple):
    """One pod that exists."""

    admission: Admission = Admission.OPEN
    told: bool = False
    """Whether it has been told to drain; its label says so before it does."""
    ready: bool = False
    dead: bool = False
    age: int = 0
    """Ticks since it was made, up to `BROKEN`, or `ENDED` of a dead one; of a ready or a cordoned
    pod it makes no difference and is 0."""
    used: int = 0
    """Participants."""


class Remembered(NamedTuple):
    """The operator's memory, and what it has written into the status."""

    desired: int | None = None
    recommendations: tuple[tuple[int, int], ...] = ()
    """Age in ticks and high end, up to maxReplicas, those that count (`_counted`). Without a window
    for scaling out the low ends of the past make no difference."""
    scaled: tuple[int, ...] = ()
    """Changes since the last tick, out and in apart, up to their rates."""
    reported: int | None = None


class State(NamedTuple):
    """Everything that the next decision depends on."""

    pods: tuple[Pod, ...] = ()
    memory: Remembered = Remembered()
    silent: bool = False
    """Neither Prometheus nor any pod says anything."""

    @property
    def participants(self) -> int:
        return sum(one.used for one in self.pods)


class Round(NamedTuple):
    """One look of the operator: what it saw, decided and did, and what came of it."""

    before: State
    decision: Decision
    steps: tuple[Step, ...]
    after: State


class Decided(NamedTuple):
    """What the operator makes of what it sees."""

    decision: Decision
    memory: Remembered
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Model:
    """The rules of one small world."""

    max_replicas: int
    max_total: int
    participants: int
    capacity: int = 4
    window: int = 1
    """Of the scale-in, in ticks."""
    wakes: bool = True
    """Whether events of pods make the operator look at once, and not at the next tick only."""
    _blind: dict[State, Decided] = field(default_factory=dict, init=False, compare=False)
    """Decisions on silent fleets, which are few: who is on them is not seen."""
    _pods: dict[tuple[int, Pod, bool], FleetPod] = field(
        default_factory=dict, init=False, compare=False
    )

    @cached_property
    def spec(self) -> CallClusterSpec:
        return cluster(
            capacity=self.capacity,
            max_replicas=self.max_replicas,
            max_total_replicas=self.max_total,
            scale_out={
                "stabilizationWindowSeconds": 0,
                "maxPods": OUT_PODS,
                "periodSeconds": TICK.seconds,
            },
            scale_in={
                "stabilizationWindowSeconds": self.window * TICK.seconds,
                "maxPods": IN_PODS,
                "periodSeconds": TICK.seconds,
            },
        )

    def events(self, state: State) -> Iterator[tuple[str, State, bool]]:
        """All that can happen next, the state it leads to, and whether the operator then looks."""
        yield "tick", self.older(state), True
        yield "operator restarts", state._replace(memory=_forgotten(state.memory)), True
        silence = "metrics back" if state.silent else "metrics lost"
        yield silence, state._replace(silent=not state.silent), False
        crowded = state.participants >= self.participants
        for index, one in enumerate(state.pods):
            if index and state.pods[index - 1] == one:
                continue
            if not crowded and self._takes(one):
                more = one._replace(used=one.used + 1)
                yield f"arrive at {index}", _with(state, index, more), False
            if one.used:
                yield f"leave {index}", _with(state, index, one._replace(used=one.used - 1)), False
            if one.admission is Admission.SEALED or one.dead:
                continue
            if not one.ready:
                yield f"{index} is ready", _with(state, index, _ready(one)), self.wakes
            yield f"{index} dies", _with(state, index, _dead(one)), self.wakes

    def _takes(self, one: Pod) -> bool:
        """A call or a join, also beyond the new-call limit: then it is a join."""
        open_for_it = one.ready and not one.dead and one.admission is not Admission.SEALED
        return open_for_it and one.used < self.capacity and (not one.told or one.used > 0)

    def one_ready(self, state: State) -> State | None:
        """The first pod that starts has become ready; None if none starts."""
        for index, one in enumerate(state.pods):
            if not (one.ready or one.dead or one.admission is Admission.SEALED):
                return _with(state, index, _ready(one))
        return None

    def older(self, state: State) -> State:
        """A tick later, before anybody has looked."""
        aged = [(min(age + 1, self.window), high) for age, high in state.memory.recommendations]
        # Of those from before the window only the last still held when it began.
        before = sum(1 for age, _ in aged if age == self.window)
        return state._replace(
            pods=_sorted(_older(one) for one in state.pods),
            memory=state.memory._replace(
                recommendations=tuple(aged[max(0, before - 1) :]), scaled=()
            ),
        )

    def rounds(self, state: State) -> Iterator[Round]:
        """The operator looks, decides and acts: once, or once for each order of the pods' ordinals
        if it is a matter of them which one goes or comes back."""
        decided = self._decide(state)
        if not any(_chooses(step) for step in decided.steps):
            yield self._round(state, decided)
            return
        for pods in sorted(set(permutations(state.pods))):
            ordered = state._replace(pods=pods)
            yield self._round(ordered, self._decide(ordered))

    def _round(self, before: State, decided: Decided) -> Round:
        after = State(_apply(before.pods, decided.steps), decided.memory, before.silent)
        return Round(before, decided.decision, decided.steps, after)

    def _decide(self, state: State) -> Decided:
        if not state.silent:
            return self._decide_anew(state)
        visible = state._replace(pods=tuple(one._replace(used=0) for one in state.pods))
        if visible not in self._blind:
            self._blind[visible] = self._decide_anew(state)
        return self._blind[visible]

    def _decide_anew(self, state: State) -> Decided:
        seen = self._observed(state)
        decision, memory = engines.plan(self.spec, seen, _memory(state.memory))
        steps = plan_steps.next_steps(decision, seen, max_total=self.max_total, revision=REVISION)
        return Decided(decision, self._remembered(memory, decision), steps)

    def _remembered(self, memory: Memory, decision: Decision) -> Remembered:
        changes = [one.change for one in memory.scale_events]
        out = sum(change for change in changes if change > 0)
        back = sum(change for change in changes if change < 0)
        rates = (min(out, OUT_PODS), max(back, -IN_PODS))
        return Remembered(
            desired=memory.desired_open,
            recommendations=_counted(
                ((NOW - one.at) // TICK, min(one.asked.high, self.max_replicas))
                for one in memory.recommendations
            ),
            scaled=tuple(change for change in rates if change),
            reported=decision.desired_open,
        )

    def _observed(self, state: State) -> Observation:
        return Observation(
            now=NOW,
            pods=tuple(
                self._seen(ordinal, one, silent=state.silent)
                for ordinal, one in enumerate(state.pods)
            ),
            metrics=AWAY if state.silent else WELL,
            reported_open=state.memory.reported,
        )

    def _seen(self, ordinal: int, one: Pod, *, silent: bool) -> FleetPod:
        key = (ordinal, one, silent)
        if key not in self._pods:
            self._pods[key] = self._pod(ordinal, one, silent=silent)
        return self._pods[key]

    def _pod(self, ordinal: int, one: Pod, *, silent: bool) -> FleetPod:
        heard = one.ready and not silent
        process = Process.ENDED if one.dead else Process.POSSIBLE
        if not one.ready and not one.dead:
            process = Process.NEVER_STARTED
        return pod(
            ordinal,
            load=known(one.used, capacity=self.capacity)
            if heard
            else unknown(capacity=self.capacity),
            admission=one.admission,
            ready=one.ready,
            age=3600 if one.ready else one.age * TICK.seconds,
            ready_for=3590 if one.ready else None,
            process=process,
            drain_reason="" if one.admission is Admission.OPEN else Reason.SURPLUS,
        )


def _forgotten(memory: Remembered) -> Remembered:
    return Remembered(reported=memory.reported)


def _with(state: State, index: int, changed: Pod) -> State:
    pods = (*state.pods[:index], changed, *state.pods[index + 1 :])
    return state._replace(pods=_sorted(pods))


def _sorted(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    return tuple(sorted(pods))


def _ready(one: Pod) -> Pod:
    return one._replace(ready=True, age=0)


def _dead(one: Pod) -> Pod:
    """A crash takes the calls with it: that is not the operator's doing."""
    age = ENDED if one.ready else min(one.age, ENDED)
    return Pod(one.admission, dead=True, age=age if one.admission is Admission.OPEN else 0)


def _older(one: Pod) -> Pod:
    if one.ready or one.admission is not Admission.OPEN:
        return one
    return one._replace(age=min(one.age + 1, ENDED if one.dead else BROKEN))


def _counted(recommendations: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The recommendations, oldest first, without what makes no difference.

    Of those of one tick the last stands for them all when it passes the window; the others leave
    it then, together with the one before them, which may therefore be taken to be as high. So may
    any that is older than another: a window that has it has the younger one as well.
    """
    kept: list[tuple[int, int]] = []
    for age, same in groupby(recommendations, key=itemgetter(0)):
        *others, last = [high for _, high in same]
        if kept:
            kept[-1] = kept[-1][0], max(kept[-1][1], *others, 0)
        elif others:
            kept.append((age, max(others)))
        kept.append((age, last))
    highest = 0
    for index in reversed(range(len(kept))):
        age, high = kept[index]
        highest = max(highest, high)
        kept[index] = age, highest
    if len(kept) > 1 and kept[0] == kept[1]:
        kept.pop(0)
    return tuple(kept)


def _chooses(step: Step) -> bool:
    return isinstance(step, Undrain) or (isinstance(step, Cordon) and step.reason == Reason.SURPLUS)


def _memory(remembered: Remembered) -> Memory:
    return Memory(
        desired_open=remembered.desired,
        recommendations=tuple(
            Recommendation(NOW - age * TICK, Proposal.exactly(high))
            for age, high in remembered.recommendations
        ),
        scale_events=tuple(ScaleEvent(NOW, change) for change in remembered.scaled),
    )


def _apply(pods: tuple[Pod, ...], steps: Iterable[Step]) -> tuple[Pod, ...]:
    """What the steps do to the pods. Raises AssertionError for a DELETE that cuts a call."""
    now = dict(enumerate(pods))
    for step in steps:
        match step:
            case Create(ordinal):
                assert ordinal not in now, f"pod {ordinal} is made a second time"
                now[ordinal] = Pod()
            case Cordon(victim):
                one = now[victim.ordinal]
                now[victim.ordinal] = one._replace(admission=Admission.CORDONED, age=0)
            case Drain(victim):
                one = now[victim.ordinal]
                if one.ready:
                    sealed = Admission.CORDONED if one.used else Admission.SEALED
                    now[victim.ordinal] = one._replace(told=True, admission=sealed)
            case Undrain(victim):
                one = now[victim.ordinal]
                assert one.ready, f"pod {victim.ordinal} cannot be told to take calls again"
                now[victim.ordinal] = one._replace(told=False, admission=Admission.OPEN)
            case Delete(victim):
                assert not now.pop(victim.ordinal).used, f"pod {victim.ordinal} had calls"
            case _:
                raise AssertionError(f"the model does not know the step {step}")
    return _sorted(now.values())


def start(model: Model) -> State:
    """An operator that has just begun and finds nothing."""
    (first,) = model.rounds(State())
    return first.after

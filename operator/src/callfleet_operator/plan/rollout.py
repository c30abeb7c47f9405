"""How far a new revision has come, and whether it may go on.

A rollout brings a changed pod template to pods that run: pods of the new revision are made beside
the old ones, and for each that is ready an old one is drained. It is under way as long as a pod of
another revision is open or drains. `plan.cordons` and `plan.steps` act on what is found here.

**It stops by itself**, and then makes no pod of the new revision and drains none of the old ones,
- while an open pod of the new revision is not ready after its start budget. That pod is kept: it is
  the witness, and may recover;
- once connections through pods of the new revision fail more than through the others. Few attempts
  say nothing, neither that it is bad nor that it is well again. What was found stays true, by the
  status, until enough attempts say otherwise or no open pod of the new revision is left.
While it has stopped the fleet still follows the load, with the revision that is known to work.

**It is held** while the mode or the annotation keeps pods from being drained, and while Prometheus
is away: nothing would say how calls on the new pods go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import Mode, RolloutStrategy
from callfleet_operator.observation import Connections, FleetPod, Observation, Process
from callfleet_operator.plan.certainty import prometheus_away
from callfleet_operator.plan.fleet import Fleet, fleet_of
from callfleet_operator.plan.reasons import Reason

MIN_ATTEMPTS: Final = 50
"""Attempts on each side that a comparison needs; a TurnPool has scaling.minAttempts for it."""
WORSE_BY: Final = Fraction(5, 100)
"""By how much of all attempts more must fail: less is no reason to keep a new revision back."""
STANDARD_ERRORS: Final = 3
"""How far beyond chance the difference must be: one rollout in about 700 stops without a cause."""


class RolloutState(StrEnum):
    """Where a rollout is."""

    COMPLETE = "Complete"
    """No pod of another revision is open or drains."""
    ON_DELETE = "OnDelete"
    """Strategy OnDelete: pods of other revisions are left alone."""
    UNDER_WAY = "UnderWay"
    HELD = "Held"
    """`Rollout.held_by` says by what."""
    PODS_FAIL = "PodsFail"
    """Stopped: pods of the new revision do not become ready."""
    CALLS_FAIL = "CallsFail"
    """Stopped: connections through pods of the new revision fail more."""


class HeldBy(StrEnum):
    """What keeps a rollout from going on."""

    MODE = "Mode"
    ANNOTATION = "Annotation"
    """callfleet.dev/hold-until."""
    PROMETHEUS = "Prometheus"
    """It is away, and nothing would say how calls on new pods go."""


_UNFINISHED: Final = frozenset(
    {
        RolloutState.UNDER_WAY,
        RolloutState.HELD,
        RolloutState.PODS_FAIL,
        RolloutState.CALLS_FAIL,
    }
)
_STOPPED: Final = frozenset({RolloutState.PODS_FAIL, RolloutState.CALLS_FAIL})


@dataclass(frozen=True, slots=True)
class Comparison:
    """Connections through pods of the new revision and through the others."""

    new: Connections
    old: Connections
    least: int
    """Attempts that each side needs."""

    @property
    def telling(self) -> bool:
        """Whether there are enough attempts on both sides."""
        return min(self.new.attempts, self.old.attempts) >= max(1, self.least)

    @property
    def worse(self) -> bool:
        """Whether more fail on the new side than chance explains (two proportions, pooled)."""
        if not self.telling:
            return False
        difference = _failing(self.new) - _failing(self.old)
        every = self.new.attempts + self.old.attempts
        pooled = Fraction(_failed(self.new) + _failed(self.old), every)
        variance = pooled * (1 - pooled) * Fraction(every, self.new.attempts * self.old.attempts)
        return difference >= WORSE_BY and difference**2 > STANDARD_ERRORS**2 * variance


def _failed(counted: Connections) -> int:
    return min(max(0, counted.failed), counted.attempts)


def _failing(counted: Connections) -> Fraction:
    return Fraction(_failed(counted), counted.attempts)


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where the rollout of a fleet is, and what the steps have to keep to."""

    revision: str = ""
    """The update revision; empty when none is known: then no pod is outdated."""
    state: RolloutState = RolloutState.COMPLETE
    order: tuple[str, ...] = ()
    """Known revisions, oldest first."""
    new_pods: str = ""
    """The revision that new pods are made of."""
    max_surge: int = 0
    drains_first: bool = False
    """The spec never leaves room for a pod above the planned number, so one is drained before its
    replacement is made."""
    held_by: HeldBy | None = None
    failing: tuple[FleetPod, ...] = ()
    """Open pods of the new revision that do not become ready."""
    compared: Comparison | None = None

    @classmethod
    def complete(cls, revision: str) -> Rollout:
        """That of a fleet whose pods are left as they are."""
        return cls(revision=revision, order=(revision,), new_pods=revision)

    def is_outdated(self, pod: FleetPod) -> bool:
        """Whether the pod has another revision than it shall have."""
        return bool(self.revision) and pod.revision != self.revision

    def is_witness(self, pod: FleetPod) -> bool:
        """Whether a broken pod is what the rollout has stopped for: it is kept. One that has ended
        never recovers and is replaced as ever."""
        return (
            self.unfinished and pod.revision == self.revision and pod.process is not Process.ENDED
        )

    @property
    def under_way(self) -> bool:
        """Whether pods are made and drained for it."""
        return self.state is RolloutState.UNDER_WAY

    @property
    def unfinished(self) -> bool:
        """Whether pods of both revisions belong there for now."""
        return self.state in _UNFINISHED

    @property
    def stopped(self) -> bool:
        """Whether it has stopped by itself."""
        return self.state in _STOPPED

    def may_reopen(self, pod: FleetPod) -> bool:
        """Whether a draining pod's revision speaks against taking its drain back: it does while
        a newer one is wanted."""
        kept = self.stopped or self.state is RolloutState.ON_DELETE
        return kept or not self.is_outdated(pod)

    def surge(self, fleet: Fleet, cordoned: Collection[FleetPod] = ()) -> int:
        """Pods that may be open above the planned number for the rollout: what is left of
        maxSurge, and no more than there are usable pods to be replaced.

        `cordoned` are the pods that this round drains for the rollout.
        """
        if not self.unfinished:
            return 0
        gone = {pod.uid for pod in cordoned}
        old = sum(
            1
            for pod in fleet.ready + fleet.starting
            if self.is_outdated(pod) and pod.uid not in gone
        )
        return max(0, min(self.room_to_replace(fleet) - len(gone), old))

    def room_to_replace(self, fleet: Fleet) -> int:
        """What is left of maxSurge beside outdated pods that are on their way out, having been
        replaced, and beside witnesses."""
        replaced = sum(1 for pod in fleet.leaving if self._was_replaced(pod))
        return self.max_surge - replaced - sum(1 for pod in fleet.broken if self.is_witness(pod))

    def _was_replaced(self, pod: FleetPod) -> bool:
        return pod.drain_reason == Reason.OUTDATED and self.is_outdated(pod)


def rollout(spec: CallClusterSpec | TurnPoolSpec, observation: Observation) -> Rollout:
    """Where the rollout is. Pure and total."""
    fleet = fleet_of(observation)
    update = observation.update_revision
    compared = _compared(spec, observation, fleet)
    failing = tuple(
        pod for pod in fleet.broken if pod.revision == update and pod.process is not Process.ENDED
    )
    held_by = _held_by(spec, observation)
    state = _state(
        spec, observation, fleet, compared, failing=bool(failing), held=held_by is not None
    )
    return Rollout(
        revision=update,
        state=state,
        order=observation.revisions,
        new_pods=_working(observation, fleet) if state in _STOPPED else update,
        max_surge=spec.rollout.max_surge,
        drains_first=spec.max_total_replicas <= spec.scaling.min_replicas,
        held_by=held_by,
        failing=failing,
        compared=compared,
    )


def is_under_comparison(observation: Observation) -> bool:
    """Whether pods of two revisions are there, so that `Observation.connections` is of use."""
    return len({pod.revision for pod in observation.pods if not pod.terminating}) > 1


def has_no_room(found: Rollout, fleet: Fleet, wanted: int, max_total: int) -> bool:
    """Whether maxTotalReplicas keeps the rollout from making its next pod, and nothing that is
    under way will change that."""
    return (
        found.under_way
        and not found.drains_first
        and fleet.total >= max_total
        and not fleet.leaving
        and not fleet.starting
        and len(fleet.ready) <= wanted
        and any(found.is_outdated(pod) for pod in fleet.open)
    )


def _state(
    spec: CallClusterSpec | TurnPoolSpec,
    observation: Observation,
    fleet: Fleet,
    compared: Comparison,
    *,
    failing: bool,
    held: bool,
) -> RolloutState:
    update = observation.update_revision
    if not update or all(pod.revision == update for pod in fleet.open + fleet.draining):
        return RolloutState.COMPLETE
    if spec.rollout.strategy is RolloutStrategy.ON_DELETE:
        return RolloutState.ON_DELETE
    if failing:
        return RolloutState.PODS_FAIL
    tried = any(pod.revision == update for pod in fleet.open)
    if compared.worse or (observation.calls_failed and tried and not compared.telling):
        return RolloutState.CALLS_FAIL
    return RolloutState.HELD if held else RolloutState.UNDER_WAY


def _held_by(spec: CallClusterSpec | TurnPoolSpec, observation: Observation) -> HeldBy | None:
    if spec.mode in (Mode.PAUSED, Mode.DRY_RUN):
        return HeldBy.MODE
    if observation.hold_until is not None and observation.hold_until > observation.now:
        return HeldBy.ANNOTATION
    return HeldBy.PROMETHEUS if prometheus_away(observation.metrics) else None


def _compared(
    spec: CallClusterSpec | TurnPoolSpec, observation: Observation, fleet: Fleet
) -> Comparison:
    """What a relay that drains refuses is the drain's doing; an engine takes people who join the
    calls it has."""
    update = observation.update_revision
    relays = isinstance(spec, TurnPoolSpec)
    old = fleet.open if relays else fleet.open + fleet.draining
    return Comparison(
        new=_sum(observation, (pod for pod in fleet.open if pod.revision == update)),
        old=_sum(observation, (pod for pod in old if pod.revision != update)),
        least=spec.scaling.min_attempts if isinstance(spec, TurnPoolSpec) else MIN_ATTEMPTS,
    )


def _sum(observation: Observation, pods: Iterable[FleetPod]) -> Connections:
    known = [observation.connections[pod.uid] for pod in pods if pod.uid in observation.connections]
    return Connections(
        sum(max(0, one.attempts) for one in known), sum(max(0, one.failed) for one in known)
    )


def _working(observation: Observation, fleet: Fleet) -> str:
    """The newest revision, the update revision apart, that a pod serves with."""
    update = observation.update_revision
    serving = {pod.revision for pod in fleet.open + fleet.draining if pod.ready}
    others = [one for one in observation.revisions if one in serving and one != update]
    return others[-1] if others else update

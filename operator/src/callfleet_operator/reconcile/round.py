"""What the rounds of both kinds have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from callfleet_operator.api.v1alpha1.common import Condition, FleetSpec, FleetStatus, Metadata, Mode
from callfleet_operator.observation import Observation
from callfleet_operator.observe.health import fleet_health
from callfleet_operator.observe.nodes import unavailable
from callfleet_operator.plan.decision import Create, Decision
from callfleet_operator.plan.rollout import Rollout
from callfleet_operator.plan.steps import next_steps
from callfleet_operator.reconcile.decisions import keep
from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.metrics_source import Reported
from callfleet_operator.reconcile.objects import Troubles
from callfleet_operator.reconcile.pace import Settled
from callfleet_operator.reconcile.pods import Listed
from callfleet_operator.reconcile.revisions import prune
from callfleet_operator.reconcile.services import FleetMemory, Services
from callfleet_operator.reconcile.steps import UNDRAIN, Hands
from callfleet_operator.reconcile.templates import Revisions
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.status.documented import ConditionType
from callfleet_operator.status.rollout import NEW_REVISION_FAILS_MORE

HOLD_UNTIL: Final = "callfleet.dev/hold-until"


@dataclass(frozen=True, slots=True)
class Round:
    """One look at one object."""

    services: Services
    key: Key
    fleet: Fleet
    memory: FleetMemory
    may_write: bool
    """False with mode Paused: the API server's objects are not touched, the status apart."""
    troubles: Troubles = field(default_factory=Troubles)

    @classmethod
    def of(cls, services: Services, key: Key, fleet: Fleet, spec: FleetSpec) -> Round:
        """A new round; what the last one has left comes from the services."""
        may_write = spec.mode is not Mode.PAUSED
        return cls(services, key, fleet, services.memory(key, fleet.uid), may_write)

    def must_compare(self, basis: Hashable, status: FleetStatus, generation: int) -> bool:
        """Whether the fleet's objects are read and compared with what they should be.

        They are when what they are rendered from has changed, or something is wrong with the
        fleet; else as often as all fleets together can bear.
        """
        settled = self.memory.settled
        if settled is None:
            well = status.observed_generation == generation and stands_well(status.conditions)
            return not well or self.services.comparisons.take()
        if settled.basis != basis:
            return True
        pace = self.services.comparisons
        age = pace.clock() - settled.compared
        return age >= len(self.services.memories) / pace.a_second and pace.take()

    def settle(self, basis: Hashable, revisions: Revisions, *, compared: bool) -> None:
        """Keep for the next rounds how the fleet's objects stand after this one's look."""
        clock = self.services.comparisons.clock
        if self.troubles.any or not (self.may_write and revisions.stands):
            self.memory.settled = None
        else:
            self.memory.settled = Settled(basis, revisions, clock() if compared else float("-inf"))
        if compared or self.memory.settled is None:
            # At the same pace it is found out whether events of the resource itself were missed.
            self.services.resources.doubt(self.key)

    def observation(
        self,
        listed: Listed,
        reported: Reported,
        metadata: Metadata,
        status: FleetStatus,
        revisions: Revisions,
    ) -> Observation:
        """What both kinds see of their pods."""
        now = self.services.now()
        health = fleet_health(reported.health, listed.pods, now, self.memory.trouble_since)
        self.memory.trouble_since = health.since
        if self.memory.would_scale_to is None:
            self.memory.would_scale_to = status.would_scale_to
        self.memory.keep_only(frozenset(pod.uid for pod in listed.pods))
        self._require_own_writes(listed)
        used = frozenset(pod.node for pod in listed.pods if pod.node)
        return Observation(
            now=now,
            pods=listed.pods,
            metrics=health,
            # Without the right to read nodes none counts as lost.
            unavailable_nodes=(
                frozenset() if listed.nodes is None else unavailable(listed.nodes, used)
            ),
            hold_until=hold_until(metadata)[0],
            reported_open=status.replicas.desired,
            revisions=revisions.order,
            unwilling=frozenset(uid for uid, subject in self.memory.troubles if subject == UNDRAIN),
            calls_failed=status.update_revision == revisions.update.hash
            and any(one.reason == NEW_REVISION_FAILS_MORE for one in status.conditions),
        )

    def _require_own_writes(self, listed: Listed) -> None:
        """Raise RoundError for a list of pods that is older than the operator's own writes.

        Each step is guarded by its own pod's version, but to drain one pod because another one
        is open takes a view that knows of the drain before.
        """
        for pod in listed.pods:
            if self.memory.superseded.get(pod.uid) == pod.resource_version:
                raise RoundError(
                    "stale-list", f"the list of pods shows {pod.name} as it was before a write"
                )

    async def act(
        self,
        decision: Decision,
        observation: Observation,
        revisions: Revisions,
        rollout: Rollout,
        *,
        max_total: int,
        reconnect_after: timedelta | None = None,
    ) -> None:
        """Keep a decision, and take the steps that follow from it.

        No pod is made while an object of somebody else stands where one of its own should: it
        could be given wrong keys.
        """
        await keep(self.services, self.fleet, self.memory, decision)
        withheld = bool(self.troubles.name_conflicts)
        steps = next_steps(
            decision,
            observation,
            max_total=max_total,
            revision=revisions.update.hash,
            rollout=rollout,
            reconnect_after=reconnect_after,
        )
        new_pods = revisions.named(rollout.new_pods)
        hands = Hands(self.services, self.memory, self.fleet, new_pods, self.troubles)
        await hands.take(step for step in steps if not (withheld and isinstance(step, Create)))
        if self.may_write:
            in_use = frozenset(pod.revision for pod in observation.pods)
            if await prune(self.services, self.fleet, revisions, in_use, self.troubles):
                self.memory.settled = None


def stands_well(conditions: Iterable[Condition]) -> bool:
    """Whether nothing that is to be applied is reported as refused."""
    found = {one.type: one for one in conditions}
    ready, accepted = found.get(ConditionType.READY), found.get(ConditionType.ACCEPTED)
    progressing = found.get(ConditionType.PROGRESSING)
    return (
        ready is not None
        and ready.status == "True"
        and accepted is not None
        and accepted.status == "True"
        and (progressing is None or progressing.reason != "ApplyFailed")
    )


def hold_until(metadata: Metadata) -> tuple[datetime | None, str]:
    """The time in the annotation, and the annotation as it stands if it is no time."""
    text = metadata.annotations.get(HOLD_UNTIL, "")
    if not text:
        return None, ""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None, text
    return (time.astimezone(UTC), "") if time.tzinfo else (None, text)

"""What the rounds of both kinds have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from callfleet_operator.api.v1alpha1 import CallCluster, CallClusterSpec, TurnPool, TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import Metadata, Mode
from callfleet_operator.gateway.kube import Body
from callfleet_operator.observation import Observation
from callfleet_operator.observe.health import fleet_health
from callfleet_operator.observe.nodes import unavailable
from callfleet_operator.plan.decision import Create, Decision, Memory
from callfleet_operator.plan.rollout import Rollout, rollout
from callfleet_operator.plan.steps import next_steps
from callfleet_operator.reconcile.decisions import keep
from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.metrics_source import Reported
from callfleet_operator.reconcile.objects import Troubles, ensure, ensure_monitor
from callfleet_operator.reconcile.pods import Listed
from callfleet_operator.reconcile.revisions import Source, ensure_revisions, prune
from callfleet_operator.reconcile.services import FleetMemory, Services
from callfleet_operator.reconcile.steps import UNDRAIN, Hands
from callfleet_operator.reconcile.templates import Revisions
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.revision import spec_digest
from callfleet_operator.status.facts import Facts
from callfleet_operator.status.rollout import NEW_REVISION_FAILS_MORE

HOLD_UNTIL: Final = "callfleet.dev/hold-until"

Spec = TypeVar("Spec", CallClusterSpec, TurnPoolSpec)
Plan = Callable[[Spec, Observation, Memory], tuple[Decision, Memory]]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a round has found and made up its mind to."""

    observation: Observation
    decision: Decision
    rollout: Rollout
    attributes: Mapping[str, str | int]
    """What a trace tells of it."""


@dataclass(frozen=True, slots=True)
class Round:
    """One look at one object. A round takes its methods in the order they stand in."""

    services: Services
    key: Key
    resource: CallCluster | TurnPool
    fleet: Fleet
    memory: FleetMemory
    may_write: bool
    """False with mode Paused: the API server's objects are not touched, the status apart."""
    troubles: Troubles = field(default_factory=Troubles)

    @classmethod
    def of(cls, services: Services, key: Key, resource: CallCluster | TurnPool) -> Round:
        """A new round; what the last one has left comes from the services."""
        fleet = Fleet.of(resource, services.installation)
        may_write = resource.spec.mode is not Mode.PAUSED
        return cls(services, key, resource, fleet, services.memory(key, fleet.uid), may_write)

    async def ensure(self, bodies: Iterable[Body]) -> None:
        """Apply the objects besides pods and templates, with a PodMonitor where there is such."""
        await ensure(self.services, self.fleet, bodies, self.troubles)
        await ensure_monitor(self.services, self.fleet, self.troubles)

    async def revisions(self, template: Mapping[str, Any], *, hold: bool = False) -> Revisions:
        """The pod templates, `template` being what the spec asks for. `hold`: pods of it could not
        start, and the newest of before stands."""
        digest = spec_digest(self.resource.spec, self.fleet.image)
        return await ensure_revisions(
            self.services,
            self.fleet,
            template,
            Source(self.resource.metadata.generation, digest),
            self.troubles,
            write=self.may_write,
            hold=hold,
        )

    def observation(self, listed: Listed, reported: Reported, revisions: Revisions) -> Observation:
        """What both kinds see of their pods. Raises RoundError if the operator's own writes are
        not among it."""
        now, status = self.services.now(), self.resource.status
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
            hold_until=hold_until(self.resource.metadata)[0],
            reported_open=status.replicas.desired,
            revisions=revisions.order,
            unwilling=frozenset(uid for uid, subject in self.memory.troubles if subject == UNDRAIN),
            calls_failed=status.update_revision == revisions.update.hash
            and any(one.reason == NEW_REVISION_FAILS_MORE for one in status.conditions),
        )

    def decide(self, plan: Plan[Spec], spec: Spec, observation: Observation) -> Decided:
        """Decide, and remember what the next decision needs of it."""
        with self.services.tracer.span("plan") as planned:
            rolling = rollout(spec, observation)
            decision, self.memory.plan = plan(spec, observation, self.memory.plan)
            attributes = _attributes(decision)
            planned.set(**attributes)
        return Decided(observation, decision, rolling, attributes)

    async def act(
        self, decided: Decided, revisions: Revisions, *, reconnect_after: timedelta | None = None
    ) -> None:
        """Keep a decision, and take the steps that follow from it.

        No pod is made while an object of somebody else stands where one of its own should: it
        could be given wrong keys.
        """
        await keep(self.services, self.fleet, self.memory, decided.decision)
        withheld = bool(self.troubles.name_conflicts)
        steps = next_steps(
            decided.decision,
            decided.observation,
            max_total=self.resource.spec.max_total_replicas,
            revision=revisions.update.hash,
            rollout=decided.rollout,
            reconnect_after=reconnect_after,
        )
        new_pods = revisions.named(decided.rollout.new_pods)
        hands = Hands(self.services, self.memory, self.fleet, new_pods, self.troubles)
        await hands.take(step for step in steps if not (withheld and isinstance(step, Create)))
        if self.may_write:
            in_use = frozenset(pod.revision for pod in decided.observation.pods)
            if await prune(self.services, self.fleet, revisions, in_use, self.troubles):
                self.memory.settled = None

    def facts(self, decided: Decided, revisions: Revisions) -> Facts:
        """What both kinds have found out besides the observation."""
        return Facts(
            invalid_hold_until=hold_until(self.resource.metadata)[1],
            name_conflicts=tuple(self.troubles.name_conflicts),
            apply_errors=tuple(self.troubles.apply_errors),
            moves=self.troubles.moves,
            update_revision=revisions.update.hash,
            rollout=decided.rollout,
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


def _attributes(decision: Decision) -> dict[str, str | int]:
    decisive = decision.decisive
    return {
        "stage": decisive.stage,
        "reason": decisive.reason,
        "open_before": decision.present_open,
        "open": decision.desired_open,
    }

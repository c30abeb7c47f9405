"""A fleet that lives in memory: takes the operator's steps, hosts calls, seals when empty.

It closes the loop around the pure core: observe, plan, step, and time goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.observation import (
    Admission,
    CallDemand,
    FleetPod,
    MetricsHealth,
    Observation,
    Process,
)
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import (
    Cordon,
    Create,
    Decision,
    Delete,
    Drain,
    Memory,
    Step,
    Undrain,
)
from callfleet_operator.plan.rollout import rollout
from callfleet_operator.plan.steps import next_steps
from tests.callfleet_operator.plan.samples import NOW, REVISION, known, pod, unknown

TICK = timedelta(seconds=15)
START = timedelta(seconds=30)


@dataclass(slots=True)
class Call:
    participants: int
    ends: datetime


@dataclass(slots=True)
class ModelPod:
    pod: FleetPod
    calls: list[Call] = field(default_factory=list)
    told_to_drain: bool = False

    @property
    def used(self) -> int:
        return sum(call.participants for call in self.calls)


@dataclass(slots=True)
class ModelFleet:
    """Engine pods of one CallCluster with calls that end by themselves."""

    spec: CallClusterSpec
    now: datetime = NOW
    pods: dict[int, ModelPod] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    metrics: MetricsHealth = field(default_factory=MetricsHealth)
    demand: CallDemand | None = None
    silent: frozenset[int] = frozenset()
    """Ordinals of pods that give no data."""
    starts: bool = True
    """Whether new pods become ready."""
    revisions: list[str] = field(default_factory=lambda: [REVISION])
    """Oldest first; the last one is that of the spec."""
    failing: frozenset[str] = frozenset()
    """Revisions whose pods do not become ready."""
    unavailable_nodes: frozenset[str] = frozenset()
    refused: int = 0
    """New calls that found no room."""
    lost: int = 0
    """Participants on pods that were deleted."""
    opened: list[int] = field(default_factory=list)
    """Number of open pods after each round."""

    def add_ready_pods(self, number: int) -> None:
        for ordinal in range(number):
            self.pods[ordinal] = ModelPod(pod(ordinal, now=self.now))

    def place(self, call: Call) -> None:
        """Best fit among the open pods below the new-call limit, as an engine places a call."""
        percent = self.spec.scaling.new_call_limit_percent
        limit = self.spec.capacity.participants_per_pod * percent / 100
        fitting = [
            one
            for one in self.pods.values()
            if one.pod.ready
            and one.pod.admission is Admission.OPEN
            and not one.told_to_drain
            and one.used + call.participants <= limit
        ]
        if fitting:
            max(fitting, key=lambda one: one.used).calls.append(call)
        else:
            self.refused += 1

    def observe(self) -> Observation:
        return Observation(
            now=self.now,
            pods=tuple(self._observed(one) for one in self.pods.values()),
            metrics=self.metrics,
            demand=self.demand,
            unavailable_nodes=self.unavailable_nodes,
            revisions=tuple(self.revisions),
        )

    def change_template(self, revision: str) -> None:
        """The spec is changed, maybe back to what it was."""
        self.revisions = [*(one for one in self.revisions if one != revision), revision]

    def _observed(self, one: ModelPod) -> FleetPod:
        capacity = self.spec.capacity.participants_per_pod
        heard = one.pod.ready and one.pod.ordinal not in self.silent
        load = known(one.used, capacity=capacity) if heard else unknown(capacity=capacity)
        return replace(one.pod, load=load)

    def round(self) -> tuple[Decision, tuple[Step, ...]]:
        """One reconcile, then a tick of time."""
        seen = self.observe()
        decision, self.memory = engines.plan(self.spec, seen, self.memory)
        rolling = rollout(self.spec, seen)
        steps = next_steps(
            decision,
            seen,
            max_total=self.spec.max_total_replicas,
            revision=self.revisions[-1],
            rollout=rolling,
        )
        self.apply(steps, rolling.new_pods)
        self.opened.append(self.open)
        self.pass_time()
        return decision, steps

    @property
    def open(self) -> int:
        return sum(1 for one in self.pods.values() if one.pod.admission is Admission.OPEN)

    @property
    def serving(self) -> int:
        """Pods that are ready and take new calls."""
        return sum(
            1
            for one in self.pods.values()
            if one.pod.ready and one.pod.admission is Admission.OPEN and not one.told_to_drain
        )

    def apply(self, steps: Iterable[Step], new_pods: str = REVISION) -> None:
        for step in steps:
            match step:
                case Create(ordinal):
                    assert ordinal not in self.pods
                    self.pods[ordinal] = ModelPod(
                        pod(
                            ordinal,
                            ready=False,
                            age=0,
                            ready_for=None,
                            process=Process.NEVER_STARTED,
                            node="node-b",
                            revision=new_pods,
                            now=self.now,
                        )
                    )
                case Cordon(victim, reason):
                    self._change(victim.ordinal, Admission.CORDONED, reason)
                case Undrain(victim):
                    self.pods[victim.ordinal].told_to_drain = False
                    self._change(victim.ordinal, Admission.OPEN)
                case Drain(victim):
                    one = self.pods[victim.ordinal]
                    one.told_to_drain = True
                    if not one.calls:
                        self._change(victim.ordinal, Admission.SEALED, victim.drain_reason)
                case Delete(victim):
                    self.lost += self.pods.pop(victim.ordinal).used

    def _change(self, ordinal: int, admission: Admission, reason: str = "") -> None:
        one = self.pods[ordinal]
        one.pod = replace(
            one.pod,
            admission=admission,
            drain_id=f"drain-{ordinal}" if reason else "",
            drain_started=self.now if reason else None,
            drain_reason=reason,
        )

    def pass_time(self) -> None:
        self.now += TICK
        for one in self.pods.values():
            one.calls = [call for call in one.calls if call.ends > self.now]
            starts = self.starts and one.pod.revision not in self.failing
            if starts and not one.pod.ready and self.now - one.pod.created >= START:
                one.pod = replace(
                    one.pod, ready=True, ready_changed=self.now, process=Process.POSSIBLE
                )

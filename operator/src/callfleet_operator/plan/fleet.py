"""The pods of one observation, sorted by what they are good for. Every pod is in one group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from callfleet_operator.observation import Admission, FleetPod, Observation, Process
from callfleet_operator.plan.reasons import Reason

START_BUDGET: Final = timedelta(seconds=180)
"""How long a pod that is not ready counts as capacity: time to pull an image and start. A pod that
turned NotReady has it too, so that a short gap replaces nothing."""
RESPAWN_DELAY: Final = timedelta(seconds=60)
"""How long an ended pod counts as capacity from its creation on: a node that refuses every pod at
once must not turn over pods at the speed of the loop."""
_OPERATORS_OWN: Final = frozenset(
    {Reason.SURPLUS, Reason.OUTDATED, Reason.NODE_UNAVAILABLE, Reason.NO_PROCESS}
)


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """The pods of one custom resource at one look."""

    ready: tuple[FleetPod, ...] = ()
    """Open and serving."""
    starting: tuple[FleetPod, ...] = ()
    """Open and not ready, within the start budget: counted as capacity."""
    broken: tuple[FleetPod, ...] = ()
    """Open and not ready for longer than that, or ended: no capacity, to be replaced."""
    displaced: tuple[FleetPod, ...] = ()
    """Open on a node that is cordoned or gone, or asked for by a person: to be replaced, then
    drained."""
    draining: tuple[FleetPod, ...] = ()
    """Cordoned, not sealed yet."""
    sealed: tuple[FleetPod, ...] = ()
    """Sealed, not deleted yet."""
    terminating: tuple[FleetPod, ...] = ()
    """Deleted by somebody, still there."""

    @property
    def usable(self) -> int:
        """Pods that count as open capacity: ready and starting."""
        return len(self.ready) + len(self.starting)

    @property
    def open(self) -> tuple[FleetPod, ...]:
        """Pods that are neither cordoned nor sealed nor terminating, whatever their state."""
        return self.ready + self.starting + self.broken + self.displaced

    @property
    def leaving(self) -> tuple[FleetPod, ...]:
        """Pods whose room becomes free without another step of scaling."""
        return self.draining + self.sealed + self.terminating

    @property
    def total(self) -> int:
        """All pods that exist."""
        return len(self.open) + len(self.leaving)


@lru_cache(maxsize=16)
def fleet_of(observation: Observation) -> Fleet:
    """Sort the pods of an observation, each group by ordinal.

    Kept: the plan, the rollout, the steps and the status of one round all ask.
    """
    groups: dict[str, list[FleetPod]] = {}
    for pod in sorted(observation.pods, key=lambda pod: (pod.ordinal, pod.name)):
        group = _group(pod, observation.now, observation.unavailable_nodes)
        groups.setdefault(group, []).append(pod)
    return Fleet(**{name: tuple(pods) for name, pods in groups.items()})


def _group(pod: FleetPod, now: datetime, unavailable_nodes: frozenset[str]) -> str:
    if pod.terminating:
        return "terminating"
    if pod.admission is not Admission.OPEN:
        return "sealed" if pod.admission is Admission.SEALED else "draining"
    if pod.drain_requested or pod.node in unavailable_nodes:
        return "displaced"
    if pod.ready:
        return "ready"
    return "starting" if _within_budget(pod, now) else "broken"


def _within_budget(pod: FleetPod, now: datetime) -> bool:
    if pod.process is Process.ENDED:
        return now - pod.created < RESPAWN_DELAY
    return now - (pod.ready_changed or pod.created) < START_BUDGET


def holds_nothing(pod: FleetPod) -> bool:
    """Whether it is certain that the pod carries no call: sealed, or no process runs.

    A ready pod is never without a process, whatever else is said of it.
    """
    if pod.admission is Admission.SEALED:
        return True
    return pod.process is not Process.POSSIBLE and not pod.ready


def overdue(
    pods: Iterable[FleetPod], now: datetime, after: timedelta | None
) -> tuple[FleetPod, ...]:
    """Those of some draining pods whose drain has lasted so long; None: no drain is too long."""
    if after is None:
        return ()
    return tuple(
        pod for pod in pods if pod.drain_started is not None and now - pod.drain_started >= after
    )


def may_be_reopened(pod: FleetPod, observation: Observation) -> bool:
    """Whether the drain of a draining pod may be taken back, its revision apart: it serves, it
    stands on a node that is not cordoned, the operator has begun the drain of its own, and the pod
    has not refused."""
    return (
        pod.ready
        and bool(pod.address)
        and pod.drain_reason in _OPERATORS_OWN
        and not pod.drain_requested
        and pod.node not in observation.unavailable_nodes
        and pod.uid not in observation.unwilling
    )


def names(pods: Iterable[FleetPod], most: int = 5) -> str:
    """Names for a message, the first few of them."""
    every = [pod.name for pod in pods]
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"

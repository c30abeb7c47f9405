"""The next step of each pod, so that the fleet comes nearer to a decision.

Every step is taken on what the API server shows now and may be repeated: a crash or a stale cache
between two rounds changes nothing. A pod gets one step a round.

**What may be deleted.** Only a cordoned pod, and of these
- one that is sealed: it has answered, by its own count, that it is empty and closed for good;
- one in which no process runs (`observation.Process`): it never started, it stopped and waits for
  its next start, or it ended. It cannot answer and carries no call. The resource version in the
  DELETE's preconditions makes that hold at the moment of the DELETE: a pod that was bound or
  (re)started since is a newer version. Should the kubelet have started it a moment before it says
  so, the pod gets SIGTERM, which is a drain: no call is cut either way.

**What is cordoned**, and when, `cordons` says.

**What is opened again.** Where a pod is missing, pods that drain are reopened before new ones are
made: those that serve, are not sealed, stand on a node that is not cordoned, have no older revision
than is wanted (`Rollout.may_reopen`), and drain because the operator has chosen so. A drain that a
person has asked for, or begun by the label, stays until that person takes it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import count, islice

from callfleet_operator.observation import FleetPod, Observation
from callfleet_operator.plan.cordons import cordons
from callfleet_operator.plan.decision import (
    Create,
    Decision,
    Delete,
    Drain,
    Steering,
    Step,
    Undrain,
)
from callfleet_operator.plan.fleet import (
    Fleet,
    fleet_of,
    holds_nothing,
    may_be_reopened,
    overdue,
)
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.rollout import Rollout
from callfleet_operator.plan.victims import most_missed


def next_steps(
    decision: Decision,
    observation: Observation,
    *,
    max_total: int,
    revision: str,
    rollout: Rollout | None = None,
    reconnect_after: timedelta | None = None,
) -> tuple[Step, ...]:
    """The steps of this round: deletions and drains under way first, then pods that are reopened,
    new pods, cordons.

    `revision` is that of new pods, `max_total` the number of pods that may exist. Without a
    `rollout` pods of other revisions are left as they are. A drain that has lasted for
    `reconnect_after` moves its calls; None: it waits for their end.
    """
    if decision.steering is Steering.NONE:
        return ()
    fleet = fleet_of(observation)
    late = frozenset(pod.uid for pod in overdue(fleet.draining, observation.now, reconnect_after))
    if decision.steering is Steering.DRAINS_ONLY:
        return (*_finish(fleet, (), late), *_opened_by_hand(fleet, ()))
    under = rollout or Rollout.complete(revision)
    cordoned = cordons(decision, fleet, max_total, under)
    replaced = [step.pod for step in cordoned if step.reason == Reason.OUTDATED]
    gone = {step.pod.uid for step in cordoned}
    usable = sum(1 for pod in fleet.ready + fleet.starting if pod.uid not in gone)
    usable += sum(1 for pod in fleet.draining if _taken_back(pod, observation))
    surge = under.surge(fleet, replaced) if under.under_way else 0
    missing = decision.desired_open + surge - usable
    reopened = tuple(islice(_reopened(fleet, observation, under), max(0, missing)))
    made = min(missing - len(reopened), max_total - fleet.total)
    return (
        *_finish(fleet, [step.pod for step in reopened], late),
        *_opened_by_hand(fleet, gone),
        *reopened,
        *_creations(observation.pods, made),
        *cordoned,
    )


def _reopened(fleet: Fleet, observation: Observation, rollout: Rollout) -> Iterator[Undrain]:
    candidates = [
        pod
        for pod in fleet.draining
        if may_be_reopened(pod, observation) and rollout.may_reopen(pod)
    ]
    for pod in most_missed(candidates, among=fleet.ready, order=rollout.order):
        yield Undrain(pod, "a pod is missing, and this one still serves")


def _opened_by_hand(fleet: Fleet, cordoned: Iterable[str]) -> Iterator[Undrain]:
    gone = set(cordoned)
    for pod in fleet.open:
        if pod.drain_id and pod.address and pod.uid not in gone:
            yield Undrain(pod, "somebody has labelled it Open")


def _finish(fleet: Fleet, reopened: Iterable[FleetPod], late: frozenset[str]) -> Iterator[Step]:
    kept = {pod.uid for pod in reopened}
    for pod in fleet.sealed:
        yield Delete(pod, Reason.SEALED)
    for pod in fleet.draining:
        if pod.uid in kept:
            continue
        if holds_nothing(pod):
            yield Delete(pod, Reason.NO_PROCESS)
        elif _request_is_gone(pod):
            yield Undrain(pod, "the request for its drain was taken back")
        elif pod.address:
            yield Drain(pod, reconnect=pod.uid in late)


def _request_is_gone(pod: FleetPod) -> bool:
    return pod.drain_reason == Reason.DRAIN_REQUESTED and not pod.drain_requested


def _taken_back(pod: FleetPod, observation: Observation) -> bool:
    """Whether the pod will be usable: its person has taken the request back, and it serves."""
    return _request_is_gone(pod) and pod.ready and pod.uid not in observation.unwilling


def _creations(pods: Iterable[FleetPod], missing: int) -> Iterator[Create]:
    taken = {pod.ordinal for pod in pods}
    free = (ordinal for ordinal in count() if ordinal not in taken)
    return (Create(ordinal) for ordinal in islice(free, max(0, missing)))

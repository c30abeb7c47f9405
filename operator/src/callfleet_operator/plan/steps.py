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

**What is cordoned**, and when
- without a look at the load: a pod that ended; a pod without a process on an unavailable node; a
  pod that has failed without a process and whose revision is outdated (a corrected spec must reach
  it); a broken pod without a process once as many pods are ready as are wanted. A failing pod of
  the current revision stays, it may recover: it is replaced once by another, never in a circle;
- pods of an unavailable node and those whose drain a person has asked for: as many as are ready
  elsewhere. If maxTotalReplicas leaves no room for a replacement and nothing is on its way out, one
  goes all the same: it could never move;
- pods beyond `Decision.drain_above`, so on complete data only. A ready pod is cordoned only while
  as many ready ones remain.

A drain that a person has asked for ends when the request is taken back, unless the pod is sealed.

Pods of an older revision that run are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice

from callfleet_operator.observation import FleetPod, Observation, Process
from callfleet_operator.plan.decision import (
    Cordon,
    Create,
    Decision,
    Delete,
    Drain,
    Steering,
    Step,
    Undrain,
)
from callfleet_operator.plan.fleet import Fleet, fleet_of, holds_nothing
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.victims import least_missed


def next_steps(
    decision: Decision, observation: Observation, *, max_total: int, revision: str
) -> tuple[Step, ...]:
    """The steps of this round: deletions and drains under way first, then new pods, then cordons.

    `revision` is that of new pods, `max_total` the number of pods that may exist.
    """
    if decision.steering is Steering.NONE:
        return ()
    fleet = fleet_of(observation)
    finishing = tuple(_finish(fleet))
    if decision.steering is Steering.DRAINS_ONLY:
        return finishing
    cordons = tuple(_cordons(decision, fleet, max_total, revision))
    cordoned = {step.pod.uid for step in cordons}
    usable = sum(1 for pod in fleet.ready + fleet.starting if pod.uid not in cordoned)
    missing = min(decision.desired_open - usable, max_total - fleet.total)
    return (*finishing, *_creations(observation.pods, missing), *cordons)


def _finish(fleet: Fleet) -> Iterator[Step]:
    for pod in fleet.sealed:
        yield Delete(pod, Reason.SEALED)
    for pod in fleet.draining:
        if holds_nothing(pod):
            yield Delete(pod, Reason.NO_PROCESS)
        elif _taken_back(pod):
            yield Undrain(pod, "the request for its drain was taken back")
        elif pod.address:
            yield Drain(pod)


def _taken_back(pod: FleetPod) -> bool:
    return pod.drain_reason == Reason.DRAIN_REQUESTED and not pod.drain_requested


def _creations(pods: Iterable[FleetPod], missing: int) -> Iterator[Create]:
    taken = {pod.ordinal for pod in pods}
    free = (ordinal for ordinal in count() if ordinal not in taken)
    return (Create(ordinal) for ordinal in islice(free, max(0, missing)))


def _cordons(decision: Decision, fleet: Fleet, max_total: int, revision: str) -> Iterator[Cordon]:
    enough = len(fleet.ready) >= decision.desired_open
    lost, displaced = _split(fleet.displaced, holds_nothing)
    ended, broken = _split(fleet.broken, lambda pod: _is_dead(pod, revision, enough=enough))
    failed, starting = _split(fleet.starting, lambda pod: _failed_before(pod, revision))
    dead = lost + ended + failed
    for pod in dead:
        yield Cordon(pod, Reason.NO_PROCESS, f"nothing runs in it: {pod.failure or 'ended'}")

    surplus = _surplus(fleet.ready, starting, decision.drain_above, revision)
    remaining = len(fleet.ready) - sum(1 for pod in surplus if pod.ready)
    if len(fleet.ready) >= decision.drain_above:
        surplus += broken
    for pod in surplus:
        message = f"{decision.desired_open} open pods are wanted"
        yield Cordon(pod, Reason.SURPLUS, message)

    stuck = not fleet.leaving and not starting and not dead and fleet.total >= max_total
    for pod in _replaced(displaced, decision.desired_open - remaining, revision, stuck=stuck):
        if pod.drain_requested:
            yield Cordon(pod, Reason.DRAIN_REQUESTED, "a person has asked for it")
        else:
            message = f"its node {pod.node} is cordoned or gone"
            yield Cordon(pod, Reason.NODE_UNAVAILABLE, message)


def _split(
    pods: Iterable[FleetPod], wanted: Callable[[FleetPod], bool]
) -> tuple[list[FleetPod], list[FleetPod]]:
    chosen: list[FleetPod] = []
    others: list[FleetPod] = []
    for pod in pods:
        (chosen if wanted(pod) else others).append(pod)
    return chosen, others


def _is_dead(pod: FleetPod, revision: str, *, enough: bool) -> bool:
    if not holds_nothing(pod):
        return False
    return enough or pod.process is Process.ENDED or _failed_before(pod, revision)


def _failed_before(pod: FleetPod, revision: str) -> bool:
    return holds_nothing(pod) and pod.failed and pod.revision != revision


def _surplus(
    ready: Sequence[FleetPod], starting: Sequence[FleetPod], above: int, revision: str
) -> list[FleetPod]:
    left_ready, left_starting = list(ready), list(starting)
    chosen: list[FleetPod] = []
    while len(left := left_ready + left_starting) > above:
        candidates = left if len(left_ready) > above else left_starting
        victim = least_missed(candidates, among=left, revision=revision)
        (left_ready if victim.ready else left_starting).remove(victim)
        chosen.append(victim)
    return chosen


def _replaced(
    displaced: list[FleetPod], still_needed: int, revision: str, *, stuck: bool
) -> Iterator[FleetPod]:
    serving = [pod for pod in displaced if pod.ready]
    yield from (pod for pod in displaced if not pod.ready)
    spare = len(serving) - max(0, still_needed)
    for _ in range(max(spare, 1 if stuck and serving else 0)):
        victim = least_missed(serving, among=serving, revision=revision)
        serving.remove(victim)
        yield victim

"""Which pods are to take no new calls from now on.

- Without a look at the load: a pod that ended; a pod without a process on an unavailable node; a
  pod that has failed without a process and whose revision is outdated (a corrected spec must reach
  it); a broken pod without a process once as many pods are ready as are wanted. A failing pod of
  the update revision stays, it may recover: it is replaced once by another, never in a circle.
- Pods beyond `Decision.drain_above`, so on complete data only. A ready pod is cordoned only while
  as many ready ones remain. During a rollout outdated pods go first, and the surge is no surplus.
- During a rollout outdated pods, as many as are ready beyond the number that is wanted: there is
  never one open pod less. Where the spec leaves no room for a pod above that number, one goes
  before its replacement is made, when everything else is in order.
- Pods of an unavailable node and those whose drain a person has asked for: as many as are ready
  elsewhere. If maxTotalReplicas leaves no room
  for a replacement and nothing is on its way out, one goes all the same: it could never move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from callfleet_operator.observation import FleetPod, Process
from callfleet_operator.plan.decision import Cordon, Decision
from callfleet_operator.plan.fleet import Fleet, holds_nothing
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.rollout import Rollout
from callfleet_operator.plan.victims import least_missed


def cordons(
    decision: Decision, fleet: Fleet, max_total: int, rollout: Rollout
) -> tuple[Cordon, ...]:
    """The pods to cordon in this round, each once."""
    wanted = decision.desired_open
    enough = len(fleet.ready) >= wanted
    lost, displaced = _split(fleet.displaced, holds_nothing)
    _, unkept = _split(fleet.broken, rollout.is_witness)
    ended, broken = _split(unkept, lambda pod: _is_dead(pod, rollout, enough=enough))
    failed, starting = _split(fleet.starting, lambda pod: _failed_before(pod, rollout))
    dead = lost + ended + failed

    ready = list(fleet.ready)
    surplus = _surplus(ready, starting, decision.drain_above, rollout.surge(fleet), rollout)
    outdated, broken = _outdated(ready, broken, fleet, wanted, rollout)
    if len(fleet.ready) >= decision.drain_above:
        surplus += broken
    nothing_moves = not (fleet.leaving or starting or dead or surplus or outdated)
    stuck = nothing_moves and fleet.total >= max_total
    moved = _replaced(displaced, wanted - len(ready), rollout, stuck=stuck)
    if stuck and not displaced and rollout.under_way and rollout.drains_first:
        outdated = _first_of_all(ready, broken, rollout)

    return (
        *(
            Cordon(pod, Reason.NO_PROCESS, f"nothing runs in it: {pod.failure or 'ended'}")
            for pod in dead
        ),
        *(Cordon(pod, Reason.SURPLUS, f"{wanted} open pods are wanted") for pod in surplus),
        *(
            Cordon(
                pod,
                Reason.OUTDATED,
                f"it has revision {pod.revision}, {rollout.revision} is wanted",
            )
            for pod in outdated
        ),
        *(
            Cordon(pod, Reason.DRAIN_REQUESTED, "a person has asked for it")
            if pod.drain_requested
            else Cordon(pod, Reason.NODE_UNAVAILABLE, f"its node {pod.node} is cordoned or gone")
            for pod in moved
        ),
    )


def _split(
    pods: Iterable[FleetPod], wanted: Callable[[FleetPod], bool]
) -> tuple[list[FleetPod], list[FleetPod]]:
    chosen: list[FleetPod] = []
    others: list[FleetPod] = []
    for pod in pods:
        (chosen if wanted(pod) else others).append(pod)
    return chosen, others


def _is_dead(pod: FleetPod, rollout: Rollout, *, enough: bool) -> bool:
    if not holds_nothing(pod):
        return False
    return enough or pod.process is Process.ENDED or _failed_before(pod, rollout)


def _failed_before(pod: FleetPod, rollout: Rollout) -> bool:
    """Failing, and of a revision that no new pod would have."""
    kept = pod.revision in (rollout.revision, rollout.new_pods)
    return holds_nothing(pod) and pod.failed and not kept


def _surplus(
    ready: list[FleetPod], starting: list[FleetPod], above: int, surge: int, rollout: Rollout
) -> list[FleetPod]:
    """Takes pods out of `ready` and `starting` until no more than `above` and `surge` are left."""
    chosen: list[FleetPod] = []
    while len(left := ready + starting) > above + surge:
        candidates = left if len(ready) > above else starting
        if rollout.under_way:
            candidates = [pod for pod in candidates if rollout.is_outdated(pod)] or candidates
        victim = least_missed(candidates, among=left, order=rollout.order)
        (ready if victim.ready else starting).remove(victim)
        chosen.append(victim)
    return chosen


def _outdated(
    ready: list[FleetPod], broken: list[FleetPod], fleet: Fleet, wanted: int, rollout: Rollout
) -> tuple[list[FleetPod], list[FleetPod]]:
    """Takes outdated pods out of `ready` as long as enough are left; also the broken ones to go,
    and those that stay."""
    if not rollout.under_way:
        return [], broken
    old, others = _split(broken, rollout.is_outdated) if len(ready) >= wanted else ([], broken)
    chosen: list[FleetPod] = []
    # What may be open above the number, or on its way out for it, is maxSurge in all.
    room = rollout.room_to_replace(fleet)
    while len(ready) > wanted and len(chosen) < room:
        candidates = [pod for pod in ready if rollout.is_outdated(pod)]
        if not candidates:
            break
        victim = least_missed(candidates, among=ready, order=rollout.order)
        ready.remove(victim)
        chosen.append(victim)
    return chosen + old, others


def _first_of_all(
    ready: list[FleetPod], broken: list[FleetPod], rollout: Rollout
) -> list[FleetPod]:
    """One outdated pod to go before its replacement comes; one that does not serve goes first."""
    for pods in (broken, ready):
        candidates = [pod for pod in pods if rollout.is_outdated(pod)]
        if candidates:
            return [least_missed(candidates, among=pods, order=rollout.order)]
    return []


def _replaced(
    displaced: list[FleetPod], still_needed: int, rollout: Rollout, *, stuck: bool
) -> Iterator[FleetPod]:
    serving = [pod for pod in displaced if pod.ready]
    yield from (pod for pod in displaced if not pod.ready)
    spare = len(serving) - max(0, still_needed)
    for _ in range(max(spare, 1 if stuck and serving else 0)):
        victim = least_missed(serving, among=serving, order=rollout.order)
        serving.remove(victim)
        yield victim

"""The bounds of the spec. They hold at once, whatever the load and the rates."""

from __future__ import annotations

from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.fleet import Fleet, names
from callfleet_operator.plan.reasons import Reason, Stage


def bounds(number: int, *, min_replicas: int, max_replicas: int) -> tuple[int, StageRecord]:
    """Keep the number between minReplicas and maxReplicas."""
    after = max(min_replicas, min(number, max_replicas))
    reason, message = (
        Reason.WITHIN_BOUNDS,
        f"{after} is within {min_replicas} to {max_replicas}.",
    )
    if after < number:
        reason = Reason.TOO_MANY
        message = f"{number} open pods are asked for, maxReplicas is {max_replicas}."
    elif after > number:
        reason = Reason.TOO_FEW
        message = f"{number} open pods are planned so far, minReplicas is {min_replicas}."
    before = Proposal.exactly(number)
    return after, StageRecord(Stage.BOUNDS, before, Proposal.exactly(after), reason, message)


def total(number: int, fleet: Fleet, *, max_total: int, reopenable: int = 0) -> StageRecord:
    """Whether maxTotalReplicas leaves room for the pods that the number asks for.

    It does not change the number: room that becomes free is used without another decision.
    `reopenable` draining pods can be opened again without any room.
    """
    reachable = fleet.usable + reopenable + max(0, max_total - fleet.total)
    same = Proposal.exactly(number)
    if reachable >= number:
        message = f"maxTotalReplicas {max_total} leaves room."
        return StageRecord(Stage.TOTAL, same, same, Reason.ROOM_FOR_PODS, message)
    holders = [
        f"{len(pods)} {what} ({names(pods)})"
        for what, pods in (
            ("that cannot start or serve", fleet.broken),
            ("to be replaced", fleet.displaced),
            ("draining", fleet.draining),
            ("sealed", fleet.sealed),
            ("terminating", fleet.terminating),
        )
        if pods
    ]
    beside = f" beside {', '.join(holders)}" if holders else ""
    message = (
        f"maxTotalReplicas {max_total} leaves room for {reachable} of {number} open pods{beside}."
    )
    return StageRecord(Stage.TOTAL, same, same, Reason.TOTAL_REACHED, message)

"""Floors under what the load asks for. The order, from the first to the last: room for arrivals
(`required`), Erlang, schedules, forecast, minReplicas; those of the middle are not built yet."""

from __future__ import annotations

from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage


def minimum(before: Proposal, min_replicas: int) -> tuple[Proposal, StageRecord]:
    """Never ask for fewer pods than minReplicas."""
    after = before.at_least(min_replicas)
    if after == before:
        message = f"The load asks for at least minReplicas {min_replicas}."
        return after, StageRecord(Stage.FLOORS, before, after, Reason.ABOVE_FLOORS, message)
    message = f"The load asks for {before}, minReplicas is {min_replicas}."
    return after, StageRecord(Stage.FLOORS, before, after, Reason.MIN_REPLICAS, message)

"""The last of the floors under what the load asks for. Before it come room for arrivals and
blocking (`required`), schedules and the forecast."""

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

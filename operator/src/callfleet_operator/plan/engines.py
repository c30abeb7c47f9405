"""How many engine pods of a CallCluster shall be open. Each stage is a module of its own.

Order: classify, required by utilisation, tolerance, floors (room for arrivals, blocking, schedules,
forecast, minReplicas), then what both kinds share (`settle`).
"""

from __future__ import annotations

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import MetricsFallback
from callfleet_operator.observation import Observation
from callfleet_operator.plan import floors, required, schedules, tolerance
from callfleet_operator.plan.decision import Decision, Memory
from callfleet_operator.plan.forecast import forecast_floor
from callfleet_operator.plan.settle import settle, situation


def plan(
    spec: CallClusterSpec, observation: Observation, memory: Memory
) -> tuple[Decision, Memory]:
    """Decide. Pure and total: the same input gives the same decision, every input gives one."""
    at = situation(observation, memory)
    scaling = spec.scaling
    target = scaling.target_utilization_percent
    asked, by_load = required.utilisation(at.load, target, at.present)
    asked, tolerated = tolerance.tolerance(
        asked,
        at.load,
        at.present,
        target_percent=target,
        tolerance_percent=scaling.tolerance_percent,
    )
    asked, with_room = required.room_for_arrivals(
        asked,
        at.fleet,
        observation.demand,
        capacity=spec.capacity.participants_per_pod,
        new_call_limit_percent=scaling.new_call_limit_percent,
    )
    asked, unblocked = required.blocking_limit(
        asked,
        observation.demand,
        capacity=spec.capacity.participants_per_pod,
        new_call_limit_percent=scaling.new_call_limit_percent,
        max_blocking_per_million=scaling.max_blocking_per_million,
    )
    asked, scheduled = schedules.schedule_floor(asked, scaling.schedules, observation.now)
    asked, forecast = forecast_floor(
        asked,
        observation.outlook,
        scaling.forecast,
        capacity=spec.capacity.participants_per_pod,
        target_percent=target,
    )
    asked, floored = floors.minimum(asked, scaling.min_replicas)
    return settle(
        asked,
        (at.classified, by_load, tolerated, with_room, unblocked, scheduled, forecast, floored),
        at,
        spec,
        hold=spec.metrics.fallback is MetricsFallback.HOLD,
    )

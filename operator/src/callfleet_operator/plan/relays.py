"""How many relays of a TurnPool shall be open. Each stage is a module of its own.

Order: classify, required by saturation, tolerance, failures, minReplicas, then what both kinds
share (`settle`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.observation import Observation
from callfleet_operator.plan import failures, floors, required, tolerance
from callfleet_operator.plan.decision import Decision, FailureStep, Memory, Steering
from callfleet_operator.plan.fleet import fleet_of
from callfleet_operator.plan.settle import settle, situation

TOLERANCE_PERCENT: Final = 10
"""As the default of a CallCluster; a TurnPool has no field for it."""


def plan(spec: TurnPoolSpec, observation: Observation, memory: Memory) -> tuple[Decision, Memory]:
    """Decide. Pure and total: the same input gives the same decision, every input gives one."""
    at = situation(observation, memory)
    scaling = spec.scaling
    target = scaling.target_saturation_percent
    asked, by_load = required.utilisation(at.load, target, at.present)
    asked, tolerated = tolerance.tolerance(
        asked,
        at.load,
        at.present,
        target_percent=target,
        tolerance_percent=TOLERANCE_PERCENT,
    )
    asked, by_failures, effect = failures.failures(
        asked,
        observation.failures,
        at.fleet,
        failures.Effect(memory.failure_step, memory.ineffective_steps),
        present=at.present,
        max_failure_percent=scaling.max_failure_percent,
        min_attempts=scaling.min_attempts,
        max_ineffective_steps=scaling.max_ineffective_steps,
    )
    asked, floored = floors.minimum(asked, scaling.min_replicas)
    decision, after = settle(
        asked, (at.classified, by_load, tolerated, by_failures, floored), at, spec, hold=False
    )
    decision = replace(decision, scale_out_ineffective=effect.stopped)
    step = effect.step
    if effect.asks_for_step and _scales_out(decision) and observation.failures is not None:
        step = FailureStep(observation.now, float(failures.failure_ratio(observation.failures)))
    return decision, replace(after, failure_step=step, ineffective_steps=effect.ineffective_steps)


def failure_window_start(spec: TurnPoolSpec, observation: Observation) -> datetime:
    """From when on `observe/` shall count users: `ConnectionFailures.since`."""
    window = timedelta(seconds=spec.scaling.window_seconds)
    return failures.window_start(observation.now, fleet_of(observation), window)


def _scales_out(decision: Decision) -> bool:
    return decision.steering is Steering.FULL and decision.desired_open > decision.present_open

"""What both kinds have in common after the load has spoken: from a proposal to a decision.

Order: stabilisation, certainty, rates, bounds, mode, room within maxTotalReplicas. Bounds come
after rates, as a changed bound takes effect at once; the mode after them, as the owner's word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import ScaleRate
from callfleet_operator.observation import Observation
from callfleet_operator.plan import bounds, certainty, mode, rates, stabilisation
from callfleet_operator.plan.classify import FleetLoad, classify
from callfleet_operator.plan.decision import Decision, Memory, Proposal, StageRecord, Steering
from callfleet_operator.plan.fleet import Fleet, fleet_of, may_be_reopened
from callfleet_operator.plan.reasons import Reason


@dataclass(frozen=True, slots=True)
class Situation:
    """What every stage of one decision may look at."""

    observation: Observation
    memory: Memory
    fleet: Fleet
    load: FleetLoad
    present: int
    """Open pods that the fleet was steered to before."""
    classified: StageRecord


def situation(observation: Observation, memory: Memory) -> Situation:
    """Sort the pods and add up their load."""
    fleet = fleet_of(observation)
    present = memory.desired_open
    if present is None:
        present = _found(fleet, observation.reported_open)
    load, record = classify(fleet, present)
    return Situation(observation, memory, fleet, load, present, record)


def _found(fleet: Fleet, reported: int | None) -> int:
    """The present number of an operator that has just begun: the pods that exist, but no more than
    the former one has reported. Without that, pods that are being replaced would count beside
    their replacements."""
    return min(len(fleet.open), reported) if reported else len(fleet.open)


def settle(
    asked: Proposal,
    trace: tuple[StageRecord, ...],
    at: Situation,
    spec: CallClusterSpec | TurnPoolSpec,
    *,
    hold: bool,
) -> tuple[Decision, Memory]:
    """Decide on a proposal; `hold` is the fallback Hold. `trace` is that of the stages before."""
    now, present, memory = at.observation.now, at.present, at.memory
    scaling, metrics = spec.scaling, at.observation.metrics
    out_period, in_period = _period(scaling.scale_out), _period(scaling.scale_in)
    windows = {"out_window": _window(scaling.scale_out), "in_window": _window(scaling.scale_in)}

    recommendations = stabilisation.remember(
        memory.recommendations, asked, now=now, present=present, **windows
    )
    number, stable = stabilisation.stabilise(recommendations, now=now, present=present, **windows)
    number, certain = certainty.certainty(number, at.load, metrics, present, hold=hold)
    number, rated = rates.rates(
        number,
        memory.scale_events,
        now=now,
        present=present,
        out_pods=scaling.scale_out.max_pods,
        out_period=out_period,
        in_pods=scaling.scale_in.max_pods,
        in_period=in_period,
    )
    would_scale_to, bounded = bounds.bounds(
        number, min_replicas=scaling.min_replicas, max_replicas=scaling.max_replicas
    )
    desired, moded = mode.mode(
        would_scale_to,
        setting=spec.mode,
        hold_until=at.observation.hold_until,
        now=now,
        present=present,
    )
    room = bounds.total(
        desired, at.fleet, max_total=spec.max_total_replicas, reopenable=_reopenable(at)
    )
    steering = mode.steering(spec.mode)
    may_drain = certainty.may_drain(at.load, metrics) and mode.may_scale_in(
        spec.mode, at.observation.hold_until, now
    )
    decision = Decision(
        present_open=present,
        desired_open=desired,
        would_scale_to=would_scale_to,
        asked=asked,
        steering=steering,
        drain_above=desired if may_drain else max(desired, scaling.max_replicas),
        limited=_limited(room, bounded, rated),
        trace=(*trace, stable, certain, rated, bounded, moded, room),
    )
    return decision, replace(
        memory,
        # Without steering the pods are somebody else's: they are counted anew each time.
        desired_open=desired if steering is Steering.FULL else None,
        recommendations=recommendations,
        scale_events=rates.remember(
            memory.scale_events,
            desired - present,
            now=now,
            out_period=out_period,
            in_period=in_period,
        ),
    )


def _reopenable(at: Situation) -> int:
    """Draining pods that can be opened again; those of an older revision are taken for leaving."""
    seen = at.observation
    return sum(
        1
        for pod in at.fleet.draining
        if may_be_reopened(pod, seen) and pod.revision == (seen.update_revision or pod.revision)
    )


def _limited(*records: StageRecord) -> StageRecord | None:
    limits = (Reason.TOTAL_REACHED, Reason.TOO_MANY, Reason.SCALE_OUT_RATE)
    return next((record for record in records if record.reason in limits), None)


def _window(rate: ScaleRate) -> timedelta:
    return timedelta(seconds=rate.stabilization_window_seconds)


def _period(rate: ScaleRate) -> timedelta:
    return timedelta(seconds=rate.period_seconds)

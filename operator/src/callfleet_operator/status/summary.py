"""The status of an object as it is written: conditions, figures, the last decision.

A figure that is not known is left out: unknown is never zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from callfleet_operator.api.v1alpha1 import (
    CallClusterSpec,
    CallClusterStatus,
    TurnPoolSpec,
    TurnPoolStatus,
)
from callfleet_operator.api.v1alpha1.common import (
    Condition,
    FleetStatus,
    LastDecision,
    Mode,
    Replicas,
)
from callfleet_operator.api.v1alpha1.turnpool import Endpoint
from callfleet_operator.observation import Admission
from callfleet_operator.plan.decision import Decision, Steering
from callfleet_operator.plan.failures import failure_ratio
from callfleet_operator.plan.fleet import Fleet
from callfleet_operator.status import engines, figures, relays
from callfleet_operator.status.case import AnyCase, Case, Finding
from callfleet_operator.status.history import explanation


def cluster_status(
    case: Case[CallClusterSpec], previous: CallClusterStatus, generation: int
) -> CallClusterStatus:
    """The status of a CallCluster."""
    return CallClusterStatus(
        **_shared(case, engines.findings(case), previous, generation),
        participants=figures.used(case.fleet, previous.participants or 0),
        utilization_percent=figures.percent(case.fleet, previous.utilization_percent or 0),
    )


def pool_status(
    case: Case[TurnPoolSpec],
    previous: TurnPoolStatus,
    generation: int,
    endpoints: tuple[Endpoint, ...],
) -> TurnPoolStatus:
    """The status of a TurnPool."""
    counted = case.observation.failures
    return TurnPoolStatus(
        **_shared(case, relays.findings(case), previous, generation),
        allocations=figures.used(case.fleet, previous.allocations or 0),
        saturation_percent=figures.percent(case.fleet, previous.saturation_percent or 0),
        failure_percent=None if counted is None else round(failure_ratio(counted) * 100),
        attempts=None if counted is None else max(0, counted.tried),
        endpoints=endpoints[:256],
    )


def _shared(
    case: AnyCase, findings: Iterable[Finding], previous: FleetStatus, generation: int
) -> dict[str, Any]:
    """The fields of a `FleetStatus`."""
    now, decision, dry = case.observation.now, case.decision, case.spec.mode is Mode.DRY_RUN
    acted = decision.steering is Steering.FULL
    scaled_out = acted and decision.desired_open > decision.present_open
    scaled_in = acted and decision.desired_open < decision.present_open
    update = case.facts.update_revision
    same = all(pod.revision == update for pod in case.fleet.open + case.fleet.draining)
    return {
        "observed_generation": generation,
        "conditions": conditions(findings, previous.conditions, now, generation),
        "current_revision": update if same else previous.current_revision,
        "update_revision": update,
        "replicas": replicas(case.fleet, decision),
        "would_scale_to": decision.would_scale_to if dry else None,
        "last_decision": last_decision(decision, previous, now, dry=dry),
        "last_scale_out_time": now if scaled_out else previous.last_scale_out_time,
        "last_scale_in_time": now if scaled_in else previous.last_scale_in_time,
    }


def conditions(
    findings: Iterable[Finding], previous: Iterable[Condition], now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Findings as conditions: lastTransitionTime moves only when the status flips."""
    former = {one.type: one for one in previous}
    return tuple(_condition(one, former.get(one.type), now, generation) for one in findings)


def _condition(
    found: Finding, former: Condition | None, now: datetime, generation: int
) -> Condition:
    status, since = found.status, now
    if former is not None and former.status == status:
        since = former.last_transition_time
        if (former.reason, former.message, former.observed_generation) == (
            found.reason,
            found.message,
            generation,
        ):
            return former  # as nearly always: to make and validate one takes longer than to look
    return Condition(
        type=found.type,
        status=status,
        reason=found.reason,
        message=found.message,
        last_transition_time=since,
        observed_generation=generation,
    )


def replicas(fleet: Fleet, decision: Decision) -> Replicas:
    """Pods by what they do; each pod once."""
    serving = len(figures.serving(fleet))
    sealed = sum(1 for pod in fleet.leaving if pod.admission is Admission.SEALED)
    return Replicas(
        desired=decision.desired_open,
        open=serving,
        starting=len(fleet.open) - serving,
        draining=len(fleet.leaving) - sealed,
        sealed=sealed,
    )


def last_decision(
    decision: Decision, previous: FleetStatus, now: datetime, *, dry: bool
) -> LastDecision:
    """The decision that led to the present number: a new one only when the number changes, or with
    DryRun the number that Active would steer to."""
    changed = decision.would_scale_to != previous.would_scale_to if dry else decision.changed
    if previous.last_decision is not None and not changed:
        return previous.last_decision
    record = decision.decisive
    number = decision.would_scale_to if dry else decision.desired_open
    message = f"{decision.present_open} to {number} open pods: {explanation(decision)}"
    return LastDecision(time=now, stage=record.stage, reason=record.reason, message=message)

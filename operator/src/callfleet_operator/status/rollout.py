"""The condition Progressing: on the way to what the spec asks for, or what is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from callfleet_operator.observation import Connections, FleetPod
from callfleet_operator.plan.fleet import names
from callfleet_operator.plan.rollout import Comparison, HeldBy, RolloutState, has_no_room
from callfleet_operator.status.case import AnyCase, Finding, few, finding, left_on, pods, utc
from callfleet_operator.status.documented import ConditionType

NEW_REVISION_FAILS_MORE: Final = "NewRevisionFailsMore"
"""This reason is also read: a rollout that has stopped for it stays stopped."""


def progressing(case: AnyCase) -> Finding:
    """What cannot be applied comes first, then a rollout that has stopped, failing pods, a rollout
    under way, pods that start."""
    facts, failing = case.facts, failing_pods(case)
    if facts.apply_errors:
        text = f"Refused by the API server: {few(facts.apply_errors)}. It is tried again."
        return finding(ConditionType.PROGRESSING, "ApplyFailed", text)
    if facts.rollout.stopped:
        return _stopped(case)
    if failing:
        text = f"{few(failures(failing))}."
        return finding(ConditionType.PROGRESSING, "PodsFailing", text, remedy=describe(failing))
    return _rolling(case) or _settled(case)


def failing_pods(case: AnyCase) -> list[FleetPod]:
    """Open pods that cannot serve without help."""
    unready = (*case.fleet.starting, *case.fleet.displaced)
    return [*case.fleet.broken, *(pod for pod in unready if pod.failed and not pod.ready)]


def failures(failing: Sequence[FleetPod]) -> list[str]:
    """Each pod with Kubernetes' own words."""
    return [f"{pod.name}: {pod.failure.rstrip('.') or _unready(pod)}" for pod in failing]


def describe(failing: Sequence[FleetPod]) -> str:
    """Where more is to be read."""
    return f"kubectl describe pod {failing[0].name} says more."


def _unready(pod: FleetPod) -> str:
    return f"not ready since {utc(pod.ready_changed or pod.created)}"


def _stopped(case: AnyCase) -> Finding:
    rollout = case.facts.rollout
    if rollout.state is RolloutState.PODS_FAIL:
        reason = "ProgressDeadlineExceeded"
        why = f"its pods do not become ready ({few(failures(rollout.failing))})"
    else:
        reason, why = NEW_REVISION_FAILS_MORE, _fail_more(rollout.compared)
    text = f"The rollout of {rollout.revision} has stopped: {why}. {_progress(case)}."
    if rollout.new_pods != rollout.revision:
        text += f" Pods that the load asks for are made of {rollout.new_pods}."
    return finding(ConditionType.PROGRESSING, reason, text)


def _fail_more(compared: Comparison | None) -> str:
    if compared is None or not compared.telling:
        return (
            "more connections through its pods had failed than through the others, and there have "
            "been too few since to say otherwise"
        )
    return (
        f"{_failed(compared.new)} connections through its pods have failed within 15 minutes, "
        f"{_failed(compared.old)} through the others"
    )


def _failed(counted: Connections) -> str:
    percent = counted.failed * 100 / counted.attempts
    return f"{counted.failed} of {counted.attempts} ({percent:.0f} %)"


def _rolling(case: AnyCase) -> Finding | None:
    rollout, fleet, type_ = case.facts.rollout, case.fleet, ConditionType.PROGRESSING
    if rollout.state is RolloutState.HELD:
        why, remedy = _held(case)
        text = f"The rollout of {rollout.revision} is held {why}. {_progress(case)}."
        return finding(type_, "RolloutHeld", text, remedy=remedy)
    if not rollout.under_way:
        return None
    most = case.spec.max_total_replicas
    if has_no_room(rollout, fleet, case.decision.desired_open, most):
        text = f"maxTotalReplicas {most} leaves no room for a pod of revision {rollout.revision}."
        return finding(type_, "NoRoomToSurge", f"{text} {_progress(case)}.")
    starting = f" Starting: {names(fleet.starting)}." if fleet.starting else ""
    return finding(type_, "RollingOut", f"{_progress(case)}.{starting}")


def _held(case: AnyCase) -> tuple[str, str]:
    """By what, and what to do."""
    if case.facts.rollout.held_by is HeldBy.MODE:
        return f"by mode {case.spec.mode}", "Set mode to Active to go on."
    until = case.observation.hold_until
    if case.facts.rollout.held_by is HeldBy.ANNOTATION and until is not None:
        return f"by the annotation callfleet.dev/hold-until {utc(until)}", (
            "Remove the annotation to go on."
        )
    away = "as long as Prometheus is away, for nothing says how calls on new pods go"
    return away, "See MetricsAvailable."


def _settled(case: AnyCase) -> Finding:
    if case.fleet.starting:
        text = f"Starting: {names(case.fleet.starting)}."
        return finding(ConditionType.PROGRESSING, "PodsStarting", text)
    if case.facts.rollout.state is RolloutState.ON_DELETE:
        text = f"rollout.strategy is OnDelete. {_progress(case)}."
        return finding(ConditionType.PROGRESSING, "OutdatedPodsKept", text)
    return finding(ConditionType.PROGRESSING, "UpToDate", "Every pod is as the spec asks.")


def _progress(case: AnyCase) -> str:
    """`3 of 6 open pods have revision X; 2 of an earlier one drain with 14 participants (...)`."""
    rollout, fleet = case.facts.rollout, case.fleet
    new = sum(1 for pod in fleet.open if not rollout.is_outdated(pod))
    text = f"{new} of {pods(len(fleet.open), 'open')} have revision {rollout.revision}"
    draining = [pod for pod in fleet.draining if rollout.is_outdated(pod)]
    if not draining:
        return text
    verb = "drains" if len(draining) == 1 else "drain"
    carried = left_on(case, draining)
    return f"{text}; {len(draining)} of an earlier one {verb} with {carried} ({names(draining)})"

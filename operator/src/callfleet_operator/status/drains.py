"""The condition Draining: which pods are being emptied, and which of them take too long."""

from __future__ import annotations

from datetime import timedelta

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.observation import FleetPod
from callfleet_operator.plan.fleet import names, overdue
from callfleet_operator.status.case import AnyCase, Finding, few, finding, left_on, short, utc
from callfleet_operator.status.documented import ConditionType


def draining(case: AnyCase) -> Finding:
    """Pods that drain, with the late ones and what they still carry, and pods that somebody has
    deleted."""
    begun = [pod.drain_started for pod in case.fleet.draining if pod.drain_started]
    ending = [pod for pod in case.fleet.terminating if pod.admission.value != "Sealed"]
    texts = []
    late = _late(case)
    moving = [pod for pod in late if case.facts.moves.get(pod.uid) == ""]
    stuck = [pod for pod in late if pod not in moving]
    deadline = f"drain.deadlineSeconds {case.spec.drain.deadline_seconds}"
    if stuck:
        each = few([_overdue(case, pod) for pod in stuck])
        texts.append(f"Draining for longer than {deadline}: {each}.")
    if moving:
        each = few([_overdue(case, pod) for pod in moving])
        those = "clients" if isinstance(case.spec, TurnPoolSpec) else "calls"
        texts.append(f"Past {deadline}, {those} are moved to other pods: {each}.")
    if case.fleet.draining:
        since = f", the first since {utc(min(begun))}" if begun else ""
        texts.append(
            f"Draining: {names(case.fleet.draining)}{since}. Each is deleted once it is empty."
        )
    if ending:
        texts.append(f"Deleted by somebody, ending with their calls: {names(ending)}.")
    if stuck:
        return finding(ConditionType.DRAINING, "DeadlineExceeded", " ".join(texts))
    if moving:
        return finding(ConditionType.DRAINING, "Reconnecting", " ".join(texts))
    if texts:
        return finding(ConditionType.DRAINING, "PodsDraining", " ".join(texts))
    return finding(ConditionType.DRAINING, "NoPodsDraining", "No pod is being emptied.")


def _late(case: AnyCase) -> list[FleetPod]:
    """Pods whose drain has lasted too long, the one that began first before the others."""
    deadline = timedelta(seconds=case.spec.drain.deadline_seconds)
    late = overdue(case.fleet.draining, case.observation.now, deadline)
    return sorted(late, key=lambda pod: (pod.drain_started or pod.created, pod.ordinal))


def _overdue(case: AnyCase, pod: FleetPod) -> str:
    since = f"since {utc(pod.drain_started)} " if pod.drain_started else ""
    hindered = case.facts.moves.get(pod.uid)
    why = f", which cannot be moved: {short(hindered).rstrip('.')}" if hindered else ""
    return f"{pod.name} {since}with {left_on(case, [pod])}{why}"

"""The conditions that both kinds have. Each function looks at one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.observation import MetricsHealth, MetricsProblem
from callfleet_operator.plan.certainty import prometheus_away
from callfleet_operator.plan.classify import unknown_pods
from callfleet_operator.plan.fleet import names
from callfleet_operator.status.case import AnyCase, Finding, few, finding, pods, short, utc
from callfleet_operator.status.documented import ConditionType
from callfleet_operator.status.rollout import describe, failing_pods, failures
from callfleet_operator.status.table import documented

_PROMETHEUS: Final = {
    MetricsProblem.UNREACHABLE: "Prometheus has not answered",
    MetricsProblem.UNAUTHORIZED: "Prometheus has refused the operator's credentials",
    MetricsProblem.ERROR: "Prometheus has answered with errors",
    MetricsProblem.NO_DATA: "Prometheus has had no usable data of any pod",
    MetricsProblem.PARTIAL: "Prometheus has said that its answers are not whole",
}


def ready(case: AnyCase) -> Finding:
    """Whether the fleet serves. Metrics play no part in it."""
    facts, least = case.facts, case.spec.scaling.min_replicas
    if facts.name_conflicts:
        text = f"Already there and owned by somebody else: {few(facts.name_conflicts)}."
        return finding(ConditionType.READY, "NameConflict", text)
    if case.serving >= least:
        text = f"{case.serving} of {case.decision.desired_open} planned pods serve."
        return finding(ConditionType.READY, "MinimumReplicasAvailable", text)
    failing = failing_pods(case)
    causes = [
        *failures(failing),
        *facts.missing_secrets,
        *facts.unusable_presets,
        *facts.apply_errors,
    ]
    starting = [pod for pod in case.fleet.starting if not pod.failed]
    if starting:
        causes.append(f"Starting: {names(starting)}")
    why = f" {few(causes)}." if causes else ""
    return finding(
        ConditionType.READY,
        "MinimumReplicasUnavailable",
        f"{pods(case.serving)} {'serves' if case.serving == 1 else 'serve'}, "
        f"minReplicas is {least}.{why}",
        remedy=describe(failing) if failing else "",
    )


def accepted(case: AnyCase, *, notes: Sequence[tuple[str, str]] = ()) -> Finding:
    """Whether the spec can be followed. The first problem gives the reason, the message has all.

    `notes` are a kind's own (reason, text), such as OpenAccess.
    """
    facts = case.facts
    candidates = [
        ("SecretMissing", facts.missing_secrets, "{}."),
        ("PresetsUnusable", facts.unusable_presets, "{}."),
        ("PoolMissing", facts.missing_pools, "No such TurnPool: {}."),
        ("PoolNotAllowed", facts.refused_pools, "This namespace is not admitted by TurnPool {}."),
        ("InvalidSchedule", facts.invalid_schedules, "Left out: schedule {}."),
        (
            "InvalidAnnotation",
            (facts.invalid_hold_until,) if facts.invalid_hold_until else (),
            "Left out: callfleet.dev/hold-until '{}' is no time.",
        ),
    ]
    problems = [(reason, text.format(few(items))) for reason, items, text in candidates if items]
    problems += notes
    if not problems:
        return finding(ConditionType.ACCEPTED, "Accepted", "The spec is followed.")
    text = " ".join(_with_remedy(reason, text) for reason, text in problems)
    return finding(ConditionType.ACCEPTED, problems[0][0], text, remedy="")


def _with_remedy(reason: str, text: str) -> str:
    return f"{text} {documented(ConditionType.ACCEPTED, reason).remedy}".strip()


def metrics_available(case: AnyCase) -> Finding:
    """Whether Prometheus can be relied on for every pod."""
    metrics = case.observation.metrics
    if metrics.problem is not None and prometheus_away(metrics):
        text = f"{_prometheus(metrics)}."
        return finding(ConditionType.METRICS_AVAILABLE, metrics.problem.value, text)
    if metrics.problem is None and not case.unknown:
        text = "Prometheus has fresh data of every pod."
        return finding(ConditionType.METRICS_AVAILABLE, "PrometheusAnswers", text)
    return finding(ConditionType.METRICS_AVAILABLE, "PartialData", _partial(case))


def scaling_active(case: AnyCase, *, hold: bool = False) -> Finding:
    """Whether the number of open pods follows the load; `hold` is the fallback Hold."""
    decision, metrics = case.decision, case.observation.metrics
    desired, mode = decision.desired_open, case.spec.mode
    if mode in (Mode.PAUSED, Mode.DRY_RUN):
        text = f"{mode.value} at {desired}; Active would steer to {decision.would_scale_to}."
        return finding(ConditionType.SCALING_ACTIVE, mode.value, text)
    until = case.observation.hold_until
    if until is not None and until > case.observation.now:
        text = f"Held at {desired} until {utc(until)}; without it {decision.would_scale_to}."
        return finding(ConditionType.SCALING_ACTIVE, "HeldByAnnotation", text)
    if metrics.problem is not None and prometheus_away(metrics):
        remedy = documented(ConditionType.METRICS_AVAILABLE, metrics.problem.value).remedy
        text = _holding(case, metrics, hold=hold)
        return finding(ConditionType.SCALING_ACTIVE, "Holding", text, remedy=remedy)
    if metrics.problem is not None or case.unknown:
        text = (
            f"{_partial(case)} No pod will be removed; pods are added if the known load asks for "
            "it."
        )
        return finding(ConditionType.SCALING_ACTIVE, "PartialData", text)
    if mode is Mode.SCALE_OUT_ONLY:
        text = f"Steering to {pods(desired, 'open')}, never to fewer."
        return finding(ConditionType.SCALING_ACTIVE, "ScaleOutOnly", text)
    text = f"Steering to {pods(desired, 'open')}."
    return finding(ConditionType.SCALING_ACTIVE, "ValidMetricFound", text)


def _holding(case: AnyCase, metrics: MetricsHealth, *, hold: bool) -> str:
    desired, silent = case.decision.desired_open, len(case.silent)
    text = f"Holding at {desired}"
    if desired > case.decision.present_open:
        text = f"Adding pods up to {desired} on what the pods themselves say"
    text = f"{text}: {_prometheus(metrics)}"
    if silent:
        text += f" and {silent} of {pods(case.fleet.total)} do not answer ({names(case.silent)})"
    text += ". No pod will be removed"
    if hold:
        return f"{text} or added (metrics.fallback is Hold)."
    if silent >= case.fleet.total:
        return f"{text}."
    return f"{text}; pods are added if those that answer ask for it."


def _prometheus(metrics: MetricsHealth) -> str:
    said = _PROMETHEUS[metrics.problem] if metrics.problem else "Prometheus answers"
    since = f" since {utc(metrics.since)}" if metrics.since else ""
    detail = f" ({short(metrics.detail)})" if metrics.detail else ""
    return f"{said}{since}{detail}"


def _partial(case: AnyCase) -> str:
    metrics = case.observation.metrics
    said = [f"{_prometheus(metrics)}."] if metrics.problem is not None else []
    if case.unknown:
        share = f"{len(case.unknown)} of {pods(case.fleet.total)}"
        said.append(f"{share} without trusted data ({unknown_pods(case.unknown)}).")
    return " ".join(said)


def scaling_limited(case: AnyCase) -> Finding:
    """Whether fewer pods are planned, or can exist, than the load asks for."""
    limited = case.decision.limited
    if limited is None:
        text = "Nothing keeps the number of open pods from what the load asks for."
        return finding(ConditionType.SCALING_LIMITED, "DesiredWithinRange", text)
    return finding(ConditionType.SCALING_LIMITED, limited.reason, limited.message)


def address_known(case: AnyCase) -> Finding:
    """Whether clients can be told where each pod is."""
    unaddressed = case.facts.unaddressed_pods
    if unaddressed:
        text = f"Not handed out: {few(unaddressed)}."
        return finding(ConditionType.ADDRESS_KNOWN, "AddressUnknown", text)
    text = "Every ready pod has an address for clients."
    return finding(ConditionType.ADDRESS_KNOWN, "AddressKnown", text)


def reconciliation_paused(case: AnyCase) -> Finding:
    """Whether the operator is told to keep its hands off."""
    if case.spec.mode is Mode.PAUSED:
        text = "Nothing is changed, not even drains under way."
        return finding(ConditionType.RECONCILIATION_PAUSED, "Paused", text)
    return finding(ConditionType.RECONCILIATION_PAUSED, "NotPaused", "The operator acts.")

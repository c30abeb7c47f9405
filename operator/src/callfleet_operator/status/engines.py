"""The conditions of a CallCluster."""

from __future__ import annotations

from fractions import Fraction

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import (
    AuthMode,
    ForecastMode,
    MetricsFallback,
    StoreType,
)
from callfleet_operator.api.v1alpha1.common import DeadlineAction
from callfleet_operator.plan.classify import utilisation
from callfleet_operator.plan.fleet import names
from callfleet_operator.plan.reasons import Stage
from callfleet_operator.status import common
from callfleet_operator.status.case import Case, Finding, finding
from callfleet_operator.status.documented import ConditionType
from callfleet_operator.status.drains import draining
from callfleet_operator.status.rollout import progressing


def findings(case: Case[CallClusterSpec]) -> tuple[Finding, ...]:
    """All conditions of a CallCluster, in the table's order."""
    return (
        common.ready(case),
        accepted(case),
        common.metrics_available(case),
        scaling_active(case),
        common.scaling_limited(case),
        draining(case),
        progressing(case),
        headroom_exhausted(case),
        address_known(case),
        common.reconciliation_paused(case),
    )


def accepted(case: Case[CallClusterSpec]) -> Finding:
    """As for both kinds, with what the owner of an open or a SQLite cluster has to know."""
    notes = []
    if case.spec.auth.mode is AuthMode.OPEN:
        text = "auth.mode is Open: anyone who reaches signalling may join any room."
        notes.append(("OpenAccess", text))
    found = common.accepted(case, notes=notes)
    if case.spec.store.type is not StoreType.SQLITE:
        return found
    sqlite = "The store is SQLite: the history of calls ends with the pod."
    if case.spec.drain.on_deadline is DeadlineAction.RECONNECT:
        sqlite += " drain.onDeadline Reconnect waits: there is no other pod to move calls to."
    return Finding(found.type, found.reason, f"{found.message} {sqlite}")


def scaling_active(case: Case[CallClusterSpec]) -> Finding:
    """As for both kinds, with what the forecast says, where the owner has asked for one."""
    found = common.scaling_active(case, hold=case.spec.metrics.fallback is MetricsFallback.HOLD)
    if case.spec.scaling.forecast.mode is ForecastMode.DISABLED:
        return found
    (said,) = (one.message for one in case.decision.trace if one.stage == Stage.FORECAST)
    return Finding(found.type, found.reason, f"{found.message} {said}")


def address_known(case: Case[CallClusterSpec]) -> Finding:
    """Whether clients can be told a way to the engines: relays, or the pods' own addresses."""
    if case.facts.no_relays:
        text = f"Joins are refused, there is no relay to hand out: {case.facts.no_relays}."
        return finding(ConditionType.ADDRESS_KNOWN, "NoRelays", text)
    return common.address_known(case)


def headroom_exhausted(case: Case[CallClusterSpec]) -> Finding:
    """Whether a new call finds a pod. One pod with room is enough, one of unknown load is not."""
    serving = [pod for pod in case.fleet.ready + case.fleet.displaced if pod.ready]
    percent = case.spec.scaling.new_call_limit_percent
    limit = Fraction(percent, 100)
    if not serving:
        text = "No open pod is ready: new calls are refused."
        return finding(ConditionType.HEADROOM_EXHAUSTED, "NoOpenPod", text)
    ends = [(pod, *utilisation(pod)) for pod in serving]
    if any(high < limit for _, _, high in ends):
        text = f"At least one open pod is below newCallLimitPercent {percent} %."
        return finding(ConditionType.HEADROOM_EXHAUSTED, "RoomForNewCalls", text)
    perhaps = [pod for pod, low, _ in ends if low < limit]
    if perhaps:
        text = f"No pod is known to have room; not known of: {names(perhaps)}."
        return finding(ConditionType.HEADROOM_EXHAUSTED, "LoadUnknown", text)
    text = f"Every open pod ({len(serving)}) is at newCallLimitPercent {percent} % or above."
    return finding(ConditionType.HEADROOM_EXHAUSTED, "NoRoomForNewCalls", text)

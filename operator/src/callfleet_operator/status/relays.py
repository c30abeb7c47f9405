"""The conditions of a TurnPool."""

from __future__ import annotations

from collections import Counter
from typing import Final

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.observation import ConnectionFailures
from callfleet_operator.status import common
from callfleet_operator.status.case import Case, Finding, finding
from callfleet_operator.status.documented import ConditionType
from callfleet_operator.status.drains import draining
from callfleet_operator.status.rollout import progressing

_CAUSES: Final = {
    "unauthorized": "CredentialsRejected",
    "expired": "CredentialsExpired",
    "unsupported": "TransportUnsupported",
    "quota": "QuotaReached",
}
"""Outcomes of an Allocate that no relay cures, by the reason that reports them."""
_SAID: Final = {
    "RelayCapacity": "Refused for want of relay capacity",
    "CredentialsRejected": "Credentials that no key of the pool has signed",
    "CredentialsExpired": "Expired credentials",
    "TransportUnsupported": "A transport that the relays do not offer",
    "QuotaReached": "More than quota.allocationsPerUser",
    "OtherFailures": "Other failures",
}


def findings(case: Case[TurnPoolSpec]) -> tuple[Finding, ...]:
    """All conditions of a TurnPool, in the table's order."""
    return (
        common.ready(case),
        common.accepted(case),
        common.metrics_available(case),
        common.scaling_active(case),
        common.scaling_limited(case),
        draining(case),
        progressing(case),
        connections_failing(case),
        scale_out_ineffective(case),
        credentials_current(case),
        common.address_known(case),
        common.reconciliation_paused(case),
    )


def connections_failing(case: Case[TurnPoolSpec]) -> Finding:
    """Whether users fail, and for which cause most of all.

    Want of capacity is compared with the users who tried, as scaling does. Refused credentials
    never come so far as to be counted there, so other causes are compared with all attempts.
    """
    type_ = ConditionType.CONNECTIONS_FAILING
    failures, scaling = case.observation.failures, case.spec.scaling
    if failures is None:
        return finding(type_, "FailuresUnknown", "How many users were refused is not known.")
    causes = _causes(failures)
    tried = max(0, failures.tried)
    attempts = tried + causes.total()
    within = f"within {scaling.window_seconds} s"
    if attempts < scaling.min_attempts:
        # Without the number, which would change, and be written, with every single user.
        text = f"Fewer than minAttempts {scaling.min_attempts} users tried {within}."
        return finding(type_, "TooFewAttempts", text)
    counts = [(number, attempts, reason) for reason, number in causes.items()]
    if tried >= scaling.min_attempts:
        counts.append((min(max(0, failures.refused_for_capacity), tried), tried, "RelayCapacity"))
    limit = scaling.max_failure_percent
    failing = sorted((one for one in counts if one[0] * 100 > limit * one[1]), reverse=True)
    if not failing:
        text = f"No cause of failure is above maxFailurePercent {limit} %."
        return finding(type_, "ConnectionsSucceed", text)
    text = "; ".join(
        f"{_SAID[reason]}: {number} of {of} attempts {within} ({number * 100 / of:.0f} %)"
        for number, of, reason in failing
    )
    return finding(type_, failing[0][2], f"{text}.")


def _causes(failures: ConnectionFailures) -> Counter[str]:
    causes: Counter[str] = Counter()
    for outcome, number in failures.other_causes.items():
        causes[_CAUSES.get(outcome, "OtherFailures")] += max(0, number)
    return causes


def scale_out_ineffective(case: Case[TurnPoolSpec]) -> Finding:
    """Whether more relays have ceased to be an answer to failures."""
    type_ = ConditionType.SCALE_OUT_INEFFECTIVE
    if not case.decision.scale_out_ineffective:
        text = "No scale-out because of failures was in vain."
        return finding(type_, "ScaleOutHelps", text)
    text = (
        f"{case.spec.scaling.max_ineffective_steps} scale-outs in a row did not lower the part of "
        f"users who are refused: no more relays are added because of failures, "
        f"{case.decision.desired_open} stay."
    )
    return finding(type_, "FailuresPersist", text)


def credentials_current(case: Case[TurnPoolSpec]) -> Finding:
    """Whether the pool's master secrets can be used."""
    type_ = ConditionType.CREDENTIALS_CURRENT
    facts = case.facts
    if facts.credentials_missing:
        return finding(type_, "SecretMissing", f"{facts.credentials_missing}.")
    if facts.credentials_malformed:
        return finding(type_, "SecretMalformed", f"{facts.credentials_malformed}.")
    return finding(type_, "SecretsRead", "The pool's master secrets are well formed.")

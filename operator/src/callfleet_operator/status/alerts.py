"""Writes the alerts of the conditions as a Prometheus rules file. `make generate` runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import click
import yaml

from callfleet_operator.status.documented import ConditionType, Documented
from callfleet_operator.status.table import REASONS

RUNBOOK: Final = "docs/troubleshooting.md"
PROBLEM: Final = "callfleet:problem:max"
"""A series for each condition that asks for somebody, whichever replica tells of it."""
_C = ConditionType
_HEAD: Final = """\
# Generated from status/ of the operator by `make generate`: an alert for each reason of a condition
# that asks for somebody (docs/reference/conditions.md). A rules file as Prometheus takes it; the
# chart puts the same into a PrometheusRule (docs/observability.md).
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """How one reason of a condition is told to whoever is on call."""

    severity: Literal["critical", "warning", "info"]
    """critical: people cannot call or be connected; warning: they may be next; info: no hurry."""
    minutes: int
    """For how long the condition has to hold."""
    section: str
    """Anchor in docs/troubleshooting.md."""
    name: str = ""
    """Where two conditions share a reason; else the reason itself."""


_REFUSED: Final = "new-calls-are-refused"
_PODS: Final = "pods-do-not-start"
_SPEC: Final = "a-spec-is-not-followed"
_METRICS: Final = "metricsavailable-is-false"
_ROLLOUT: Final = "a-rollout-does-not-get-on"
_RELAYED: Final = "users-fail-at-the-relays"

ALERTS: Final[dict[tuple[ConditionType, str], Alert]] = {
    (_C.READY, "MinimumReplicasUnavailable"): Alert("critical", 5, _PODS),
    (_C.READY, "NameConflict"): Alert("warning", 5, _SPEC),
    (_C.ACCEPTED, "OpenAccess"): Alert("info", 15, _SPEC),
    (_C.ACCEPTED, "InvalidSchedule"): Alert("warning", 5, _SPEC),
    (_C.ACCEPTED, "InvalidAnnotation"): Alert("warning", 5, _SPEC),
    (_C.ACCEPTED, "SecretMissing"): Alert("warning", 5, _SPEC),
    (_C.ACCEPTED, "PresetsUnusable"): Alert("warning", 5, _SPEC),
    (_C.ACCEPTED, "PoolMissing"): Alert("warning", 5, _SPEC),
    (_C.ACCEPTED, "PoolNotAllowed"): Alert("warning", 5, _SPEC),
    (_C.METRICS_AVAILABLE, "PrometheusUnreachable"): Alert("warning", 5, _METRICS),
    (_C.METRICS_AVAILABLE, "PrometheusUnauthorized"): Alert("warning", 5, _METRICS),
    (_C.METRICS_AVAILABLE, "PrometheusError"): Alert("warning", 5, _METRICS),
    (_C.METRICS_AVAILABLE, "NoData"): Alert("warning", 10, _METRICS),
    (_C.METRICS_AVAILABLE, "PartialData"): Alert("warning", 15, _METRICS),
    (_C.SCALING_ACTIVE, "Holding"): Alert("warning", 10, _METRICS),
    (_C.SCALING_LIMITED, "TooManyReplicas"): Alert("warning", 15, _REFUSED),
    (_C.SCALING_LIMITED, "MaxTotalReplicas"): Alert("warning", 15, _REFUSED),
    (_C.DRAINING, "DeadlineExceeded"): Alert("warning", 5, "the-fleet-does-not-shrink"),
    (_C.PROGRESSING, "NoRoomToSurge"): Alert("warning", 15, _ROLLOUT),
    (_C.PROGRESSING, "ProgressDeadlineExceeded"): Alert("warning", 5, _ROLLOUT),
    (_C.PROGRESSING, "NewRevisionFailsMore"): Alert("critical", 1, _ROLLOUT),
    (_C.PROGRESSING, "PodsFailing"): Alert("warning", 10, _PODS),
    (_C.PROGRESSING, "ApplyFailed"): Alert("warning", 10, _PODS),
    (_C.HEADROOM_EXHAUSTED, "NoRoomForNewCalls"): Alert("critical", 2, _REFUSED),
    (_C.HEADROOM_EXHAUSTED, "NoOpenPod"): Alert("critical", 2, _REFUSED),
    (_C.CONNECTIONS_FAILING, "RelayCapacity"): Alert("warning", 10, _RELAYED),
    (_C.CONNECTIONS_FAILING, "CredentialsRejected"): Alert("warning", 5, _RELAYED),
    (_C.CONNECTIONS_FAILING, "CredentialsExpired"): Alert("warning", 5, _RELAYED),
    (_C.CONNECTIONS_FAILING, "TransportUnsupported"): Alert("warning", 5, _RELAYED),
    (_C.CONNECTIONS_FAILING, "QuotaReached"): Alert("warning", 10, _RELAYED),
    (_C.CONNECTIONS_FAILING, "OtherFailures"): Alert("warning", 10, _RELAYED),
    (_C.SCALE_OUT_INEFFECTIVE, "FailuresPersist"): Alert("critical", 5, _RELAYED),
    (_C.CREDENTIALS_CURRENT, "SecretMissing"): Alert(
        "critical", 5, _RELAYED, name="PoolSecretMissing"
    ),
    (_C.CREDENTIALS_CURRENT, "SecretMalformed"): Alert("critical", 5, _RELAYED),
    (_C.ADDRESS_KNOWN, "AddressUnknown"): Alert("warning", 5, "people-join-and-hear-nothing"),
    (_C.ADDRESS_KNOWN, "NoRelays"): Alert("critical", 2, _REFUSED),
}


def alert_name(one: Documented) -> str:
    """The alert's name; raises KeyError for a reason that asks for nobody."""
    return f"Callfleet{ALERTS[one.type, one.reason].name or one.reason}"


def rules() -> list[dict[str, Any]]:
    """Alerting rules in the order of the reference, one for each reason marked as a warning.

    Raises KeyError for one of which nobody has said how urgent it is.
    """
    return [_rule(one, ALERTS[one.type, one.reason]) for one in REASONS if one.warning]


def _rule(one: Documented, alert: Alert) -> dict[str, Any]:
    look = "kubectl -n {{ $labels.namespace }} describe {{ $labels.kind | toLower }}"
    return {
        "alert": alert_name(one),
        "expr": f'{PROBLEM}{{condition="{one.type}", reason="{one.reason}"}} > 0',
        "for": f"{alert.minutes}m",
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": (
                "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }}: "
                f"{one.type} {one.reason}"
            ),
            "description": (
                f"{one.meaning} {one.remedy} The whole message: {look} {{{{ $labels.name }}}}"
            ),
            "runbook": f"{RUNBOOK}#{alert.section}",
        },
    }


def _recorded() -> dict[str, str]:
    # Two minutes bridge the time in which another replica takes over. Where a target's own labels
    # win, Prometheus keeps the object's namespace as exported_namespace.
    return {
        "record": PROBLEM,
        "expr": (
            "max by (kind, namespace, name, condition, reason) "
            "(label_replace(max_over_time(callfleet_operator_problem[2m]), "
            '"namespace", "$1", "exported_namespace", "(.+)"))'
        ),
    }


def page() -> str:
    """The whole rules file."""
    groups = {"groups": [{"name": "callfleet-conditions", "rules": [_recorded(), *rules()]}]}
    return _HEAD + yaml.safe_dump(groups, sort_keys=False, width=100)


if __name__ == "__main__":
    click.echo(page(), nl=False)

"""Names, labels and figures of the operator's metrics: they are API."""

from __future__ import annotations

import pytest

from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage
from callfleet_operator.reconcile.keys import Key, Kind

POOL = Key(Kind.TURN_POOL, "media", "relays")


@pytest.fixture
def metrics() -> OperatorMetrics:
    return OperatorMetrics(clock=lambda: 50.0, wall=lambda: 1_000_000.0)


def value(metrics: OperatorMetrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def test_rounds(metrics: OperatorMetrics) -> None:
    assert metrics.round_ages() == {}
    metrics.finished(POOL, 0.2)
    metrics.failed(POOL, "api-unavailable")
    prefix = "callfleet_operator"
    assert value(metrics, f"{prefix}_reconcile_seconds_count", kind="TurnPool") == 1
    assert (
        value(metrics, f"{prefix}_last_reconcile_timestamp_seconds", kind="TurnPool") == 1_000_000
    )
    errors = f"{prefix}_reconcile_errors_total"
    assert value(metrics, errors, kind="TurnPool", cause="api-unavailable") == 1
    assert value(metrics, errors, kind="CallCluster", cause="bug") == 0
    assert metrics.round_ages() == {Kind.TURN_POOL: 0.0}


def test_problems_come_and_go(metrics: OperatorMetrics) -> None:
    name = "callfleet_operator_problem"
    labels = {"kind": "TurnPool", "namespace": "media", "name": "relays"}
    metrics.problems(POOL, [("Ready", "NameConflict"), ("AddressKnown", "AddressUnknown")])
    assert value(metrics, name, **labels, condition="Ready", reason="NameConflict") == 1
    metrics.problems(POOL, [("AddressKnown", "AddressUnknown")])
    assert value(metrics, name, **labels, condition="Ready", reason="NameConflict") is None
    assert value(metrics, name, **labels, condition="AddressKnown", reason="AddressUnknown") == 1
    metrics.desired(POOL, 1)
    metrics.gone(POOL)
    assert value(metrics, name, **labels, condition="AddressKnown", reason="AddressUnknown") is None


def test_decisions(metrics: OperatorMetrics) -> None:
    metrics.desired(POOL, 3)
    metrics.target(POOL, 70)
    labels = {"kind": "TurnPool", "namespace": "media", "name": "relays"}
    assert value(metrics, "callfleet_operator_desired_open", **labels) == 3
    assert value(metrics, "callfleet_operator_target_utilization_ratio", **labels) == 0.7
    record = StageRecord(
        Stage.FAILURES, Proposal.exactly(2), Proposal.exactly(3), Reason.USERS_REFUSED, "why"
    )
    metrics.decided(POOL, record)
    assert (
        value(
            metrics,
            "callfleet_operator_decisions_total",
            kind="TurnPool",
            stage="Failures",
            reason="UsersRefused",
        )
        == 1
    )
    metrics.gone(POOL)
    metrics.gone(POOL)
    assert value(metrics, "callfleet_operator_desired_open", **labels) is None
    assert value(metrics, "callfleet_operator_target_utilization_ratio", **labels) is None


def test_requests(metrics: OperatorMetrics) -> None:
    metrics.request("apply", "services", 200)
    labels = {"verb": "apply", "resource": "services", "code": "200"}
    assert value(metrics, "callfleet_operator_api_requests_total", **labels) == 1


def test_who_leads(metrics: OperatorMetrics) -> None:
    leading = False
    metrics.leader(lambda: leading)
    assert value(metrics, "callfleet_operator_leader") == 0
    leading = True
    assert value(metrics, "callfleet_operator_leader") == 1


def test_names_are_those_of_the_contract(metrics: OperatorMetrics) -> None:
    names = {family.name for family in metrics.registry.collect()}
    assert names == {
        f"callfleet_operator_{name}"
        for name in (
            "reconcile_seconds",
            "reconcile_errors",
            "last_reconcile_timestamp_seconds",
            "desired_open",
            "target_utilization_ratio",
            "problem",
            "decisions",
            "api_requests",
            "leader",
            "info",
        )
    }

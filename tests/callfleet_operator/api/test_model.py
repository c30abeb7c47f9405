from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from callfleet_operator.api.v1alpha1 import CallCluster, CallClusterStatus, TurnPool
from callfleet_operator.api.v1alpha1.common import LastDecision

METADATA = {"name": "calls", "namespace": "media"}


def test_a_field_of_a_newer_release_is_ignored() -> None:
    cluster = CallCluster.model_validate({"metadata": METADATA, "spec": {"invented": {"x": 1}}})
    assert cluster == CallCluster.model_validate({"metadata": METADATA})


def test_what_is_absent_is_never_written_as_null() -> None:
    status = CallClusterStatus().to_api()
    assert "wouldScaleTo" not in status
    assert "lastScaleTime" not in status
    assert status["replicas"]["desired"] == 0


def test_times_are_written_as_kubernetes_writes_them() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    decision = LastDecision(time=time, stage="rates", reason="WithinRate", message="")
    assert decision.to_api()["time"] == "2026-01-02T03:04:05Z"
    assert LastDecision.model_validate(decision.to_api()) == decision


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="a time needs a zone"):
        LastDecision(time=datetime(2026, 1, 2))  # noqa: DTZ001  # the subject


def test_the_last_scale_time_is_the_later_one() -> None:
    out, down = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    status = CallClusterStatus(last_scale_out_time=out, last_scale_in_time=down)
    assert status.to_api()["lastScaleTime"] == "2026-01-02T00:00:00Z"
    assert CallClusterStatus.model_validate(status.to_api()) == status


def test_specs_are_immutable() -> None:
    pool = TurnPool.model_validate({"metadata": METADATA})
    with pytest.raises(ValidationError, match="frozen"):
        pool.spec.region = "elsewhere"  # type: ignore[misc]  # the subject


@pytest.mark.parametrize(
    ("spec", "total"),
    [
        ({}, 1),
        ({"scaling": {"maxReplicas": 1}, "store": {"type": "PostgreSQL"}}, 2),
        ({"scaling": {"maxReplicas": 5}, "store": {"type": "PostgreSQL"}}, 8),
        ({"scaling": {"maxReplicas": 5, "maxTotalReplicas": 6}}, 6),
    ],
)
def test_total_of_a_call_cluster(spec: dict[str, object], total: int) -> None:
    cluster = CallCluster.model_validate({"metadata": METADATA, "spec": spec})
    assert cluster.spec.max_total_replicas == total


@pytest.mark.parametrize(
    ("scaling", "total"),
    [
        ({}, 5),
        ({"maxReplicas": 1}, 2),
        ({"maxReplicas": 10}, 15),
        ({"maxReplicas": 3, "maxTotalReplicas": 3}, 3),
    ],
)
def test_total_of_a_turn_pool(scaling: dict[str, object], total: int) -> None:
    pool = TurnPool.model_validate({"metadata": METADATA, "spec": {"scaling": scaling}})
    assert pool.spec.max_total_replicas == total

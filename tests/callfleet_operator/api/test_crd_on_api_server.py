"""The CRDs on a real API server: accepted, structural, defaults, columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from callfleet_operator.api.v1alpha1 import API_VERSION, CallClusterStatus
from callfleet_operator.api.v1alpha1.common import Condition, Replicas
from callfleet_operator.api.v1alpha1.crd import KINDS, Kind
from tests.cluster.api_server import ApiServer

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("crds")]
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def empty(kind: Kind) -> str:
    return json.dumps({"apiVersion": API_VERSION, "kind": kind.name, "metadata": {"name": "plain"}})


@by_kind
def test_the_schema_is_structural(api_server: ApiServer, kind: Kind) -> None:
    crd = json.loads(api_server.kubectl("get", "crd", f"{kind.plural}.callfleet.dev", "-o=json"))
    conditions = {one["type"]: one["status"] for one in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@by_kind
def test_the_api_server_s_defaults_are_the_models(api_server: ApiServer, kind: Kind) -> None:
    made = json.loads(
        api_server.kubectl("create", "--dry-run=server", "-f", "-", "-o=json", stdin=empty(kind))
    )
    defaults = without_empty(kind.spec().to_api())
    assert without_empty(made["spec"]) == defaults
    assert kind.spec.model_validate(made["spec"]) == kind.spec()


def without_empty(value: object) -> object:
    """Absent and empty say the same; the API server writes no empty ones."""
    if isinstance(value, list):
        return [without_empty(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {name: without_empty(inner) for name, inner in value.items()}
    return {name: inner for name, inner in kept.items() if inner not in ("", {}, [])}


def test_columns_show_the_status(api_server: ApiServer, api_namespace: str) -> None:
    where = f"--namespace={api_namespace}"
    cluster = next(kind for kind in KINDS if kind.name == "CallCluster")
    api_server.kubectl("create", where, "-f", "-", stdin=empty(cluster))
    ready = Condition(
        type="Ready",
        status="True",
        reason="AsDesired",
        message="",
        last_transition_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    status = CallClusterStatus(
        conditions=(ready,),
        replicas=Replicas(desired=3, open=2, starting=1),
        utilization_percent=65,
        last_scale_out_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    patch = json.dumps({"status": status.to_api()})
    api_server.kubectl(
        "patch", where, "cc/plain", "--subresource=status", "--type=merge", f"-p={patch}"
    )

    head, line = api_server.kubectl("get", where, "callfleet").splitlines()

    assert " ".join(head.split()) == "NAME READY DESIRED OPEN DRAINING UTIL LIMITED MODE AGE"
    name, *columns, _age = line.split()
    assert name == "callcluster.callfleet.dev/plain"
    assert columns == ["True", "3", "2", "0", "65", "Active"]


def test_explain_reads_the_docstrings(api_server: ApiServer) -> None:
    told = api_server.kubectl("explain", "turnpool.spec.exposure.relaysPerNode")
    assert "Relays on one node at most." in told

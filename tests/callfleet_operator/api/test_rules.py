"""Each CEL rule on a real API server, with what it refuses and what it admits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import API_VERSION
from callfleet_operator.api.v1alpha1.crd import KINDS, custom_resource_definition
from tests.callfleet_operator.api.rule_cases import POSTGRESQL, RULE_CASES, RuleCase
from tests.cluster.api_server import ApiServer
from tests.cluster.errors import HarnessError

# Tried below on their own: they concern the name, or need two versions of an object.
ON_THEIR_OWN = (
    "metadata.name must have at most 40 characters",
    "metadata.name must begin with a letter",
    "store.type cannot change",
)


def manifest(kind: str, spec: dict[str, Any], name: str = "tried") -> str:
    return json.dumps(
        {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    )


def tried(server: ApiServer, kind: str, spec: dict[str, Any], name: str = "tried") -> str:
    return server.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-",
        stdin=manifest(kind, spec, name),
    )  # fmt: skip


def rules(schema: object) -> Iterator[dict[str, str]]:
    if isinstance(schema, dict):
        yield from schema.get("x-kubernetes-validations", ())
        for inner in schema.values():
            yield from rules(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from rules(inner)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_rule_has_a_case(kind: Any) -> None:  # noqa: ANN401  # a parameter
    messages = [case.message for case in RULE_CASES if case.kind == kind.name]
    untried = [
        rule["message"]
        for rule in rules(custom_resource_definition(kind))
        if not any(
            message in rule["message"] or message in rule.get("messageExpression", "")
            for message in (*messages, *ON_THEIR_OWN)
        )
    ]
    assert untried == []


@pytest.mark.api
@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: f"{case.kind}: {case.subject}")
def test_a_rule_refuses_and_admits(api_server: ApiServer, case: RuleCase) -> None:
    tried(api_server, case.kind, case.admitted)
    with pytest.raises(HarnessError) as refused:
        tried(api_server, case.kind, case.refused)
    assert case.message in str(refused.value)
    assert f"{case.field}: Invalid value" in str(refused.value)


@pytest.mark.api
@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("kind", ["CallCluster", "TurnPool"])
def test_names(api_server: ApiServer, kind: str) -> None:
    tried(api_server, kind, {}, name="a" + 39 * "b")
    with pytest.raises(HarnessError, match=r"metadata\.name must have at most 40 characters"):
        tried(api_server, kind, {}, name="a" + 40 * "b")
    for name in ("1calls", "calls.v2"):
        with pytest.raises(HarnessError, match=r"metadata\.name must begin with a letter"):
            tried(api_server, kind, {}, name=name)


@pytest.mark.api
@pytest.mark.usefixtures("crds")
def test_the_store_s_type_cannot_change(api_server: ApiServer, api_namespace: str) -> None:
    where = f"--namespace={api_namespace}"
    api_server.kubectl("create", where, "-f", "-", stdin=manifest("CallCluster", {}))
    with pytest.raises(HarnessError, match=r"store\.type cannot change.*make a new CallCluster"):
        api_server.kubectl("apply", where, "-f", "-", stdin=manifest("CallCluster", POSTGRESQL))


@pytest.mark.api
@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("CallCluster", {"scaling": {"minReplica": 2}}, 'unknown field "spec.scaling.minReplica"'),
        ("CallCluster", {"resources": {"limit": {}}}, 'unknown field "spec.resources.limit"'),
        ("CallCluster", {"capacity": {"participantsPerPod": 0}}, "greater than or equal to 1"),
        ("CallCluster", {"mode": "Fast"}, '"Active", "DryRun", "Paused", "ScaleOutOnly"'),
        ("CallCluster", {"env": [{"value": "x"}]}, "env[0].name: Required value"),
        ("TurnPool", {"listeners": []}, "at least 1 items"),
        ("TurnPool", {"quota": {"allocationsPerPod": 20000}}, "less than or equal to 16384"),
    ],
)
def test_wrong_fields_are_refused(
    api_server: ApiServer, kind: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(HarnessError) as refused:
        tried(api_server, kind, spec)
    assert message in str(refused.value)

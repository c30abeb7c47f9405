"""The CRDs' rules without an API server: it refuses the same (tests/callfleet_operator/api)."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import API_VERSION, CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.crd import KINDS, custom_resource_definition
from callfleet_operator.simulate.rules import BrokenRule, broken_rules
from tests.callfleet_operator.api.rule_cases import POSTGRESQL, RULE_CASES, RuleCase
from tests.callfleet_operator.api.test_rules import rules


def resource(kind: str, spec: dict[str, Any], name: str = "tried") -> CallCluster | TurnPool:
    model = CallCluster if kind == "CallCluster" else TurnPool
    metadata = {"name": name, "namespace": "media", "uid": "u", "generation": 1}
    return model.model_validate(
        {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    )


@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: f"{case.kind}: {case.subject}")
def test_the_api_servers_verdict_and_its_message(case: RuleCase) -> None:
    assert list(broken_rules(resource(case.kind, case.admitted))) == []
    broken = list(broken_rules(resource(case.kind, case.refused)))
    assert [one for one in broken if case.message in one.message and one.field == case.field]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_defaults_break_none(kind: Any) -> None:  # noqa: ANN401  # a parameter
    assert list(broken_rules(resource(kind.name, {}))) == []


def test_a_name_that_is_too_long() -> None:
    (broken,) = broken_rules(resource("CallCluster", POSTGRESQL, name="a" + 40 * "b"))
    assert broken == BrokenRule(
        "", "metadata.name must have at most 40 characters: pods and Services are named after it"
    )
    assert str(broken) == broken.message


def test_rules_of_a_change_are_left_out() -> None:
    """What a new object cannot break: there is one such rule, and `self` alone says nothing."""
    of_a_change = [
        rule["rule"]
        for kind in KINDS
        for rule in rules(custom_resource_definition(kind))
        if "oldSelf" in rule["rule"]
    ]
    assert of_a_change == ["self == oldSelf"]

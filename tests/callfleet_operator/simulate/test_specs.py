"""Single fields of a spec that are changed."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.simulate.specs import SpecError, with_changes

BODY: dict[str, Any] = {"kind": "CallCluster", "spec": {"scaling": {"maxReplicas": 4}}}


def test_fields_are_set_and_the_object_stays_as_it_is() -> None:
    changed = with_changes(
        BODY,
        (
            "spec.scaling.maxReplicas=8",
            "spec.scaling.scaleIn.maxPods=2",
            'spec.cost.podMonthly="40"',
            "spec.scaling.schedules=[{name: a}]",
        ),
    )
    assert changed["spec"] == {
        "scaling": {"maxReplicas": 8, "scaleIn": {"maxPods": 2}, "schedules": [{"name": "a"}]},
        "cost": {"podMonthly": "40"},
    }
    assert BODY["spec"] == {"scaling": {"maxReplicas": 4}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("spec.scaling.maxReplicas", "write a field of the spec and its value, such as"),
        ("scaling.maxReplicas=3", "write a field of the spec"),
        ("spec=3", "write a field of the spec"),
        ("spec..maxReplicas=3", "write a field of the spec"),
        ("spec.mode=[", "the value is no YAML: put quotes around it"),
        ("spec.scaling.maxReplicas.x=1", "maxReplicas has no fields: set it as a whole"),
    ],
)
def test_what_cannot_be_set(change: str, said: str) -> None:
    with pytest.raises(SpecError, match=r"^--set s") as refused:
        with_changes(BODY, (change,))
    assert said in str(refused.value)

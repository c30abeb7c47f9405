from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.effect import not_yet_in_effect


def test_defaults_are_all_in_effect() -> None:
    assert not_yet_in_effect(CallClusterSpec()) == ()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (
            {"quality": {"presetsConfigMapRef": {"name": "low"}}},
            "quality.presetsConfigMapRef.name: low",
        ),
    ],
)
def test_fields_of_a_call_cluster(fields: dict[str, Any], named: str) -> None:
    assert not_yet_in_effect(CallClusterSpec.model_validate(fields)) == (named,)


def test_prices_take_effect() -> None:
    cost = {"podMonthly": "41.50", "egressPerGB": "0.09", "currency": "EUR"}
    assert not_yet_in_effect(CallClusterSpec.model_validate({"cost": cost})) == ()

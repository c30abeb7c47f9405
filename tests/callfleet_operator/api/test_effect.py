from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.api.v1alpha1.effect import exposure_without_effect, not_yet_in_effect


@pytest.mark.parametrize("spec", [CallClusterSpec(), TurnPoolSpec()])
def test_defaults_are_all_in_effect(spec: CallClusterSpec | TurnPoolSpec) -> None:
    assert not_yet_in_effect(spec) == ()
    assert exposure_without_effect(spec) == ""


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"exposure": {"address": {"source": "STUN"}}}, "exposure.address.source: STUN"),
        ({"signalling": {"tlsSecretRef": {"name": "tls"}}}, "signalling.tlsSecretRef.name: tls"),
        (
            {"quality": {"presetsConfigMapRef": {"name": "low"}}},
            "quality.presetsConfigMapRef.name: low",
        ),
    ],
)
def test_fields_of_a_call_cluster(fields: dict[str, Any], named: str) -> None:
    assert not_yet_in_effect(CallClusterSpec.model_validate(fields)) == (named,)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"exposure": {"type": "LoadBalancer"}}, "exposure.type: LoadBalancer"),
        ({"exposure": {"address": {"source": "STUN"}}}, "exposure.address.source: STUN"),
        ({"region": "eu-central"}, "region: eu-central"),
    ],
)
def test_fields_of_a_turn_pool(fields: dict[str, Any], named: str) -> None:
    assert not_yet_in_effect(TurnPoolSpec.model_validate(fields)) == (named,)


@pytest.mark.parametrize("kind", [CallClusterSpec, TurnPoolSpec])
def test_prices_take_effect(kind: type[CallClusterSpec | TurnPoolSpec]) -> None:
    cost = {"podMonthly": "41.50", "egressPerGB": "0.09", "currency": "EUR"}
    assert not_yet_in_effect(kind.model_validate({"cost": cost})) == ()


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        (
            CallClusterSpec.model_validate(
                {
                    "exposure": {
                        "type": "HostPort",
                        "address": {"source": "STUN", "value": "stun.example.org:3478"},
                    }
                }
            ),
            "set Auto or Static",
        ),
        (TurnPoolSpec.model_validate({"exposure": {"type": "HostNetwork"}}), "set HostPort"),
    ],
)
def test_a_fleet_that_nobody_could_reach_is_told_what_to_set(
    spec: CallClusterSpec | TurnPoolSpec, remedy: str
) -> None:
    assert remedy in exposure_without_effect(spec)

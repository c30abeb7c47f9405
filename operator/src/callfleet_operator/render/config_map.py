"""The ConfigMaps that pods read again when they change, so that no pod has to be replaced."""

from __future__ import annotations

import json
from typing import Any

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.render.fleet import Fleet


def engine_config_map(fleet: Fleet, spec: CallClusterSpec, admin_keys: str) -> dict[str, Any]:
    """limits.json and admin-keys.json. `admin_keys` is the JWK Set of the operator's keys."""
    limits = {
        "version": 1,
        "capacityParticipants": spec.capacity.participants_per_pod,
        "targetUtilizationPercent": spec.scaling.target_utilization_percent,
        "newCallLimitPercent": spec.scaling.new_call_limit_percent,
    }
    return _config_map(
        fleet, {"admin-keys.json": admin_keys, "limits.json": json.dumps(limits) + "\n"}
    )


def relay_config_map(fleet: Fleet, admin_keys: str) -> dict[str, Any]:
    """admin-keys.json: the JWK Set of the operator's keys."""
    return _config_map(fleet, {"admin-keys.json": admin_keys})


def _config_map(fleet: Fleet, data: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": fleet.metadata(fleet.object_name),
        "data": data,
    }

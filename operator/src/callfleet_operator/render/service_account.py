"""The ServiceAccount of a fleet's pods: an identity without rights and without a token."""

from __future__ import annotations

from typing import Any

from callfleet_operator.render.fleet import Fleet


def service_account(fleet: Fleet) -> dict[str, Any]:
    """Engines and relays never speak to the API server."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": fleet.metadata(fleet.object_name),
        "automountServiceAccountToken": False,
    }

"""The ConfigMap with the last decisions of an object."""

from __future__ import annotations

from typing import Any, Final

from callfleet_operator.render.fleet import Component, Fleet

DECISIONS_KEY: Final = "decisions.json"


def decisions_name(component: Component, name: str) -> str:
    """Its name. With the component, as a CallCluster and a TurnPool may have the same name."""
    return f"{name}-{component}-decisions"


def decisions_config_map(fleet: Fleet, text: str) -> dict[str, Any]:
    """`text` is what `status.history.encode` has made."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": fleet.metadata(decisions_name(fleet.component, fleet.name)),
        "data": {DECISIONS_KEY: text},
    }

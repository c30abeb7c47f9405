"""The PodDisruptionBudget that keeps evictions away from pods that are not sealed."""

from __future__ import annotations

from typing import Any, Final

from callfleet_operator.render.fleet import SEALED_LABEL, Fleet

_MORE_THAN_EVER: Final = 2**31 - 1


def disruption_budget(fleet: Fleet) -> dict[str, Any]:
    """Covers the pods without the label `sealed` and wants more of them than there can be.

    So an unsealed pod is never evicted, and a sealed one, which no budget covers, always.
    maxUnavailable 0 would not do: for pods without a scale subresource Kubernetes cannot count
    the expected ones and refuses such a budget. A pod that runs but is not ready may have calls:
    IfHealthyBudget keeps it as well.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": fleet.metadata(fleet.object_name),
        "spec": {
            "minAvailable": _MORE_THAN_EVER,
            "unhealthyPodEvictionPolicy": "IfHealthyBudget",
            "selector": {
                "matchLabels": fleet.selector,
                "matchExpressions": [{"key": SEALED_LABEL, "operator": "DoesNotExist"}],
            },
        },
    }

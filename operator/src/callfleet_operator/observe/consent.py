"""Which CallClusters may use a TurnPool, and which pools a CallCluster names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.turnpool import NamespacesFrom
from callfleet_operator.render.turn_secret import PoolName


def pools_of(cluster: CallCluster) -> tuple[PoolName, ...]:
    """The pools a CallCluster names, in its order, each once."""
    named = (
        PoolName(ref.namespace or cluster.metadata.namespace, ref.name)
        for ref in cluster.spec.turn.pool_refs
    )
    return tuple(dict.fromkeys(named))


def needs_labels(pool: TurnPool, namespace: str) -> bool:
    """Whether the labels of the namespace decide if it may use the pool."""
    return (
        namespace != pool.metadata.namespace
        and pool.spec.allowed_namespaces.from_ is NamespacesFrom.SELECTOR
    )


def admits(pool: TurnPool, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a pool may be used from a namespace with these labels; its own always may."""
    if namespace == pool.metadata.namespace:
        return True
    allowed = pool.spec.allowed_namespaces
    if allowed.from_ is NamespacesFrom.SELECTOR:
        return allowed.selector is not None and selects(allowed.selector, labels)
    return allowed.from_ is NamespacesFrom.ALL


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a metav1.LabelSelector matches; an empty one matches everything.

    Source: Kubernetes API reference, LabelSelector. An unknown operator matches nothing.
    """
    return all(
        labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()
    ) and all(_matches(one, labels) for one in selector.get("matchExpressions") or [])


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False

"""The ConfigMap with presets of quality that a CallCluster names."""

from __future__ import annotations

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.gateway.errors import ForbiddenError
from callfleet_operator.observe.presets import presets_problem
from callfleet_operator.reconcile.services import Services


async def unusable_presets(services: Services, cluster: CallCluster) -> tuple[str, ...]:
    """Why engines cannot use it; nothing if they can, or if none is named."""
    name = cluster.spec.quality.presets_config_map_ref.name
    if not name:
        return ()
    try:
        found = await services.config_maps.get(cluster.metadata.namespace, name)
    except ForbiddenError as refusal:
        return (f"ConfigMap {name} cannot be read: {refusal.message}",)
    problem = presets_problem(found)
    return (f"ConfigMap {name} {problem}",) if problem else ()

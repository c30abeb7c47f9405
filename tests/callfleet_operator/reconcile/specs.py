"""Specs that scale at once, and what they refer to."""

from __future__ import annotations

from typing import Any

from callfleet_operator.reconcile.keys import Key, Kind
from tests.callfleet_operator.reconcile.world import MASTER, World

AT_ONCE = {"stabilizationWindowSeconds": 0, "maxPods": 10, "periodSeconds": 1}
SCALING = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "maxTotalReplicas": 5,
    "scaleOut": AT_ONCE,
    "scaleIn": AT_ONCE,
}


def cluster_spec(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # a spec
    return {
        "capacity": {"participantsPerPod": 10},
        "scaling": SCALING,
        "store": {"type": "PostgreSQL", "postgresql": {"uriSecretRef": {"name": "calls-db"}}},
        **more,
    }


def pool_spec(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # a spec
    return {
        "scaling": SCALING | {"minAttempts": 5},
        "quota": {"allocationsPerPod": 10},
        "exposure": {"relaysPerNode": 4, "address": {"source": "NodeInternalIP"}},
        **more,
    }


async def make_cluster(
    world: World,
    name: str = "calls",
    *,
    database: str = "postgresql://calls",
    **more: Any,  # noqa: ANN401
) -> Key:
    """A CallCluster with its Secrets."""
    await world.secret("join-keys", keys_json='{"keys": []}')
    await world.secret("calls-db", uri=database)
    return await world.make(Kind.CALL_CLUSTER, name, cluster_spec(**more))


async def make_pool(world: World, name: str = "relays", **more: Any) -> Key:  # noqa: ANN401
    """A TurnPool with a Secret of its owner's."""
    await world.secret("relay-keys", secrets=MASTER)
    spec = {"credentials": {"secretRef": {"name": "relay-keys"}}} | more
    return await world.make(Kind.TURN_POOL, name, pool_spec(**spec))

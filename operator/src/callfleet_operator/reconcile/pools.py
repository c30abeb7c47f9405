"""Between CallClusters and TurnPools: who names whom, who admits whom."""

from __future__ import annotations

from dataclasses import dataclass

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.observe.consent import admits, needs_labels, pools_of
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.turn_secret import PoolName


@dataclass(frozen=True, slots=True)
class Pools:
    """The pools that a CallCluster names."""

    admitted: tuple[TurnPool, ...] = ()
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


async def pools_for(services: Services, cluster: CallCluster) -> Pools:
    """Look up each pool of `turn.poolRefs` and ask for its consent."""
    admitted, missing, refused = [], [], []
    for name in pools_of(cluster):
        pool = await services.resource(Key(Kind.TURN_POOL, name.namespace, name.name))
        if not isinstance(pool, TurnPool):
            missing.append(f"{name.namespace}/{name.name}")
        elif await _admits(services, pool, cluster.metadata.namespace):
            admitted.append(pool)
        else:
            refused.append(f"{name.namespace}/{name.name}")
    return Pools(tuple(admitted), tuple(missing), tuple(refused))


async def clusters_for(services: Services, pool: TurnPool) -> tuple[CallCluster, ...]:
    """The CallClusters that name a pool and that it admits, in all namespaces that are served."""
    name = PoolName(pool.metadata.namespace, pool.metadata.name)
    found: list[CallCluster] = []
    for key in sorted(await services.pool_users.of(Key(Kind.TURN_POOL, name.namespace, name.name))):
        if await _admits(services, pool, key.namespace):
            cluster = await services.resource(key)
            if isinstance(cluster, CallCluster) and name in pools_of(cluster):
                found.append(cluster)
    return tuple(found)


async def _admits(services: Services, pool: TurnPool, namespace: str) -> bool:
    labels: dict[str, str] = {}
    if needs_labels(pool, namespace):
        body = await services.namespace_objects.get("", namespace)
        labels = ((body or {}).get("metadata") or {}).get("labels") or {}
    return admits(pool, namespace, labels)

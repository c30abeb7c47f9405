"""Tells engine pods which relays to hand out to clients, and which to have clients leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.callcluster import EngineExposureType
from callfleet_operator.reconcile.balancers import balancers_of
from callfleet_operator.reconcile.pods import Listed, list_pods, relay_limits
from callfleet_operator.reconcile.pools import Pools
from callfleet_operator.reconcile.relay_addresses import client_addresses, ready_relays
from callfleet_operator.reconcile.relays import (
    by_region,
    ending_list,
    handed_out,
    push,
    relay_list,
    seen_from,
)
from callfleet_operator.reconcile.round import Round
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Fleet


async def tell_relays(now: Round, cluster: CallCluster, pools: Pools, listed: Listed) -> str:
    """Tell every engine; why there is no relay for clients who need one, else nothing."""
    services = now.services
    found = [await _relays_of(services, pool) for pool in pools.admitted]
    relays = [entry for of_pool in found for entry in of_pool.entries]
    for region, pods in by_region(listed).items():
        seen = seen_from(region, relays)
        tell = partial(services.admin.put_relays, relays=seen)
        what = f"relays of region {region}" if region else "relays"
        await push(pods, tell, (what, seen), now.memory, services)
    ending = [entry for of_pool in found for entry in of_pool.ending]
    if ending and relays and now.may_write:
        tell = partial(services.admin.leave_relays, relays=ending)
        await push(listed.pods, tell, ("order to leave relays", None), now.memory, services)
    return "" if relays else _why_no_relays(cluster, pools)


@dataclass(frozen=True, slots=True)
class _OfPool:
    """What engines are told of one pool."""

    entries: list[dict[str, Any]]
    ending: list[dict[str, Any]]


async def _relays_of(services: Services, pool: TurnPool) -> _OfPool:
    reported = await services.metrics_source.relays()
    fleet = Fleet.of(pool, services.installation)
    # The pool's own round asks silent relays; here a rough figure of their room is enough.
    limits = replace(relay_limits(pool.spec), ask_pods=False)
    listed = await list_pods(services, fleet, reported.snapshot, limits)
    balancers = await balancers_of(services, pool, ready_relays(listed))
    addresses = await client_addresses(services, pool, listed, balancers)
    return _OfPool(
        relay_list(pool, handed_out(pool, listed, addresses)),
        ending_list(pool, listed, services.now()),
    )


def _why_no_relays(cluster: CallCluster, pools: Pools) -> str:
    if cluster.spec.exposure.type is not EngineExposureType.TURN_ONLY:
        return ""
    if not cluster.spec.turn.pool_refs:
        return "turn.poolRefs names no TurnPool"
    names = ", ".join(f"{pool.metadata.namespace}/{pool.metadata.name}" for pool in pools.admitted)
    if not names:
        return "no TurnPool in turn.poolRefs can be used"
    return f"none is open, ready and has an address in TurnPool {names}"

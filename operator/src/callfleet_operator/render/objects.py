"""Everything of a fleet but its pods and revisions, in the order to apply it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.render.config_map import engine_config_map, relay_config_map
from callfleet_operator.render.disruption_budget import disruption_budget
from callfleet_operator.render.fleet import Fleet, Installation
from callfleet_operator.render.network_policy import engine_network_policy, relay_network_policy
from callfleet_operator.render.service import signalling_service
from callfleet_operator.render.service_account import service_account
from callfleet_operator.render.turn_secret import PoolName, engine_turn_secret


def engine_objects(
    cluster: CallCluster,
    installation: Installation,
    *,
    admin_keys: str,
    masters: Mapping[PoolName, Sequence[bytes]],
) -> tuple[dict[str, Any], ...]:
    """What a CallCluster has besides pods. The budget and the policy come before any pod does.

    `admin_keys` is the JWK Set of the operator's public keys; `masters` are the master secrets of
    each pool that is referred to and consents, newest first.
    """
    fleet = Fleet.of(cluster, installation)
    return (
        service_account(fleet),
        disruption_budget(fleet),
        engine_network_policy(fleet, cluster.spec, installation),
        engine_config_map(fleet, cluster.spec, admin_keys),
        engine_turn_secret(fleet, masters),
        signalling_service(fleet, cluster.spec.signalling),
    )


def relay_objects(
    pool: TurnPool, installation: Installation, *, admin_keys: str
) -> tuple[dict[str, Any], ...]:
    """What a TurnPool has besides pods and, where its owner named none, its master Secret."""
    fleet = Fleet.of(pool, installation)
    return (
        service_account(fleet),
        disruption_budget(fleet),
        relay_network_policy(fleet, pool.spec, installation),
        relay_config_map(fleet, admin_keys),
    )

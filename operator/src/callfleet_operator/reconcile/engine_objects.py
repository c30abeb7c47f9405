"""The objects of a CallCluster besides its pods, which are many where there are many fleets.

They are read and compared with what they should be when what they are rendered from has changed, or
something is wrong with the fleet; else as often as all fleets together can bear.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.api.v1alpha1.common import Condition
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import SECRETS
from callfleet_operator.reconcile.pace import Settled
from callfleet_operator.reconcile.pools import Pools
from callfleet_operator.reconcile.round import Round
from callfleet_operator.reconcile.secrets import pool_masters
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.templates import Revisions
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.objects import engine_objects
from callfleet_operator.render.turn_secret import PoolName
from callfleet_operator.status.documented import ConditionType


@dataclass(frozen=True, slots=True)
class Keys:
    """What engines' TURN keys are derived from."""

    masters: Mapping[PoolName, Sequence[bytes]] = field(default_factory=dict)
    unreadable: Mapping[PoolName, str] = field(default_factory=dict)
    """Pools whose Secret cannot be used, and why."""


async def keys_of(services: Services, pools: Pools) -> Keys:
    """The keys of the pools that a CallCluster may use."""
    masters: dict[PoolName, Sequence[bytes]] = {}
    unreadable: dict[PoolName, str] = {}
    for pool in pools.admitted:
        name = PoolName(pool.metadata.namespace, pool.metadata.name)
        found = await pool_masters(services, pool)
        if found.trouble:
            unreadable[name] = f"{found.trouble} (TurnPool {name.namespace}/{name.name})"
        else:
            masters[name] = found.secrets
    return Keys(masters, unreadable)


async def objects_and_revisions(
    now: Round, cluster: CallCluster, keys: Keys, *, hold: bool
) -> Revisions:
    """Compare and apply everything but the pods, unless it stands as it should.

    `hold`: pods of a new template could not start.
    """
    masters = frozenset((name, tuple(secrets)) for name, secrets in keys.masters.items())
    generation, image = cluster.metadata.generation, now.fleet.image
    basis = generation, image, masters, frozenset(keys.unreadable), hold
    compare = _must_compare(now, cluster, basis)
    settled = now.memory.settled
    if settled is not None and not compare:
        return settled.revisions
    if now.may_write and compare:
        await now.ensure(await _objects(now, cluster, keys))
    revisions = await now.revisions(engine_template(now.fleet, cluster.spec), hold=hold)
    _settle(now, basis, revisions, compared=compare)
    return revisions


def _must_compare(now: Round, cluster: CallCluster, basis: Hashable) -> bool:
    settled, pace = now.memory.settled, now.services.comparisons
    if settled is None:
        status = cluster.status
        current = status.observed_generation == cluster.metadata.generation
        return not (current and _stands_well(status.conditions)) or pace.take()
    if settled.basis != basis:
        return True
    age = pace.clock() - settled.compared
    return age >= len(now.services.memories) / pace.a_second and pace.take()


def _stands_well(conditions: Iterable[Condition]) -> bool:
    """Whether nothing that is to be applied is reported as refused."""
    found = {one.type: one for one in conditions}
    ready, accepted = found.get(ConditionType.READY), found.get(ConditionType.ACCEPTED)
    progressing = found.get(ConditionType.PROGRESSING)
    return (
        ready is not None
        and ready.status == "True"
        and accepted is not None
        and accepted.status == "True"
        and (progressing is None or progressing.reason != "ApplyFailed")
    )


def _settle(now: Round, basis: Hashable, revisions: Revisions, *, compared: bool) -> None:
    """Keep for the next rounds how the objects stand after this one's look."""
    if now.troubles.any or not (now.may_write and revisions.stands):
        now.memory.settled = None
    else:
        at = now.services.comparisons.clock() if compared else float("-inf")
        now.memory.settled = Settled(basis, revisions, at)
    if compared or now.memory.settled is None:
        # At the same pace it is found out whether events of the resource itself were missed.
        now.services.resources.doubt(now.key)


async def _objects(now: Round, cluster: CallCluster, keys: Keys) -> Sequence[Body]:
    services = now.services
    bodies = engine_objects(
        cluster, services.installation, admin_keys=services.admin_keys, masters=keys.masters
    )
    if keys.unreadable:
        kept = await _kept_keys(now, keys.unreadable)
        for body in bodies:
            if body["kind"] == "Secret" and kept:
                body["data"] = body.get("data", {}) | kept
    return bodies


async def _kept_keys(now: Round, pools: Mapping[PoolName, str]) -> dict[str, str]:
    """Keys that engines have of pools whose Secret cannot be read just now: they stay valid, and
    taking them away would cut clients off."""
    fleet = now.fleet
    live = await now.services.kube.get(SECRETS, fleet.namespace, fleet.turn_secret_name)
    present: dict[str, str] = (live or {}).get("data") or {}
    names = {f"{pool.namespace}.{pool.name}" for pool in pools}
    return {key: value for key, value in present.items() if key in names}

"""One round of a CallCluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from callfleet_operator.api.v1alpha1 import CallCluster, CallClusterSpec, TurnPool
from callfleet_operator.api.v1alpha1.callcluster import (
    EngineExposureType,
    ForecastMode,
    MetricsFallback,
)
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import SECRETS
from callfleet_operator.observation import NoOutlook, Outlook
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Decision
from callfleet_operator.plan.rollout import is_under_comparison, rollout
from callfleet_operator.plan.schedules import unreadable as unreadable_schedules
from callfleet_operator.reconcile.engine_addresses import tell_addresses
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.objects import ensure, ensure_monitor
from callfleet_operator.reconcile.pods import Limits, list_pods
from callfleet_operator.reconcile.pools import Pools, pools_for
from callfleet_operator.reconcile.presets import unusable_presets
from callfleet_operator.reconcile.relay_addresses import client_addresses
from callfleet_operator.reconcile.relays import (
    by_region,
    ending_list,
    handed_out,
    push,
    relay_list,
    seen_from,
)
from callfleet_operator.reconcile.report import decision_attributes, report
from callfleet_operator.reconcile.revisions import Source, ensure_revisions
from callfleet_operator.reconcile.round import Round, hold_until
from callfleet_operator.reconcile.secrets import missing_secrets, pool_masters
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.templates import Revisions
from callfleet_operator.reconcile.turn_pool import relay_limits
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.objects import engine_objects
from callfleet_operator.render.revision import spec_digest
from callfleet_operator.render.turn_secret import PoolName
from callfleet_operator.status.case import Case
from callfleet_operator.status.facts import Facts
from callfleet_operator.status.summary import cluster_status


def engine_limits(spec: CallClusterSpec) -> Limits:
    """How the load of engines is judged."""
    return Limits(
        capacity=spec.capacity.participants_per_pod,
        stale_after=timedelta(seconds=spec.metrics.stale_after_seconds),
        ask_pods=spec.metrics.fallback is MetricsFallback.POD_STATUS,
    )


async def reconcile_cluster(services: Services, key: Key, live: Body) -> Decision:
    """Bring the engines of a CallCluster nearer to its spec, and say how it stands."""
    cluster = CallCluster.model_validate(live)
    spec, metadata = cluster.spec, cluster.metadata
    fleet = Fleet.of(cluster, services.installation)
    now = Round.of(services, key, fleet, spec)
    services.metrics.target(key, spec.scaling.target_utilization_percent)
    span = services.tracer.span

    with span("observe", what="references"):
        absent = await missing_secrets(services, cluster)
        unusable = await unusable_presets(services, cluster)
        pools = await pools_for(services, cluster)
    with span("apply", what="objects"):
        keys = await _keys(services, pools) if now.may_write else Keys()
        revisions = await _objects_and_revisions(services, cluster, now, keys, hold=bool(unusable))

    with span("observe", what="pods"):
        reported = await services.metrics_source.engines()
        listed = await list_pods(services, fleet, reported.snapshot, engine_limits(spec))
        observation = replace(
            now.observation(listed, reported, metadata, cluster.status, revisions),
            demand=reported.snapshot.demand.get((metadata.namespace, metadata.name)),
            outlook=_outlook(services, cluster),
        )
        if is_under_comparison(observation):
            connections = await services.metrics_source.engine_connections()
            observation = replace(observation, connections=connections)
    with span("plan") as planned:
        rolling = rollout(spec, observation)
        decision, now.memory.plan = engines.plan(spec, observation, now.memory.plan)
        planned.set(**decision_attributes(decision))
    with span("apply", what="pods"):
        await now.act(
            decision,
            observation,
            revisions,
            rolling,
            max_total=spec.max_total_replicas,
            reconnect_after=spec.drain.reconnect_after,
        )

        unaddressed = await tell_addresses(services, cluster, listed, write=now.may_write)
        found = [await _relays_of(services, pool) for pool in pools.admitted]
        relays = [entry for of_pool in found for entry in of_pool.entries]
        no_relays = "" if relays else _why_no_relays(cluster, pools)
        for region, pods in by_region(listed).items():
            seen = seen_from(region, relays)
            tell = partial(services.admin.put_relays, relays=seen)
            what = f"relays of region {region}" if region else "relays"
            await push(pods, tell, (what, seen), now.memory, services)
        ending = [entry for of_pool in found for entry in of_pool.ending]
        if ending and relays and now.may_write:
            tell = partial(services.admin.leave_relays, relays=ending)
            await push(listed.pods, tell, ("order to leave relays", None), now.memory, services)

    facts = Facts(
        invalid_schedules=unreadable_schedules(spec.scaling.schedules),
        invalid_hold_until=hold_until(metadata)[1],
        missing_secrets=(*absent, *keys.unreadable.values()),
        unusable_presets=unusable,
        missing_pools=pools.missing,
        refused_pools=pools.refused,
        name_conflicts=tuple(now.troubles.name_conflicts),
        apply_errors=tuple(now.troubles.apply_errors),
        moves=now.troubles.moves,
        no_relays=no_relays,
        unaddressed_pods=unaddressed,
        update_revision=revisions.update.hash,
        rollout=rolling,
    )
    status = cluster_status(
        Case.of(spec, observation, decision, facts), cluster.status, metadata.generation
    )
    with span("report"):
        await report(services, key, live, status, decision)
    return decision


def _outlook(services: Services, cluster: CallCluster) -> Outlook | NoOutlook:
    forecast = cluster.spec.scaling.forecast
    if forecast.mode is ForecastMode.DISABLED:
        return NoOutlook("forecast.mode is Disabled")
    name = cluster.metadata.namespace, cluster.metadata.name
    horizon = timedelta(seconds=forecast.horizon_seconds)
    return services.history_source.outlook(name, horizon)


@dataclass(frozen=True, slots=True)
class Keys:
    """What engines' TURN keys are derived from."""

    masters: Mapping[PoolName, Sequence[bytes]] = field(default_factory=dict)
    unreadable: Mapping[PoolName, str] = field(default_factory=dict)
    """Pools whose Secret cannot be used, and why."""


async def _keys(services: Services, pools: Pools) -> Keys:
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


async def _objects_and_revisions(
    services: Services, cluster: CallCluster, now: Round, keys: Keys, *, hold: bool
) -> Revisions:
    """Everything but the pods: compared and applied, unless it stands as it should.

    `hold`: pods of a new template could not start.
    """
    spec, generation, fleet = cluster.spec, cluster.metadata.generation, now.fleet
    masters = frozenset((name, tuple(secrets)) for name, secrets in keys.masters.items())
    basis = generation, fleet.image, masters, frozenset(keys.unreadable), hold
    compare = now.must_compare(basis, cluster.status, generation)
    settled = now.memory.settled
    if settled is not None and not compare:
        return settled.revisions
    if now.may_write and compare:
        await ensure(services, fleet, await _objects(services, cluster, fleet, keys), now.troubles)
        await ensure_monitor(services, fleet, now.troubles)
    revisions = await ensure_revisions(
        services,
        fleet,
        engine_template(fleet, spec),
        Source(generation, spec_digest(spec, fleet.image)),
        now.troubles,
        write=now.may_write,
        hold=hold,
    )
    now.settle(basis, revisions, compared=compare)
    return revisions


async def _objects(
    services: Services, cluster: CallCluster, fleet: Fleet, keys: Keys
) -> Sequence[Body]:
    bodies = engine_objects(
        cluster, services.installation, admin_keys=services.admin_keys, masters=keys.masters
    )
    if keys.unreadable:
        kept = await _kept_keys(services, fleet, keys.unreadable)
        for body in bodies:
            if body["kind"] == "Secret" and kept:
                body["data"] = body.get("data", {}) | kept
    return bodies


async def _kept_keys(
    services: Services, fleet: Fleet, pools: Mapping[PoolName, str]
) -> dict[str, str]:
    """Keys that engines have of pools whose Secret cannot be read just now: they stay valid, and
    taking them away would cut clients off."""
    live = await services.kube.get(SECRETS, fleet.namespace, fleet.turn_secret_name)
    present: dict[str, str] = (live or {}).get("data") or {}
    names = {f"{pool.namespace}.{pool.name}" for pool in pools}
    return {key: value for key, value in present.items() if key in names}


def _why_no_relays(cluster: CallCluster, pools: Pools) -> str:
    """Why clients would be given no relay, where they need one."""
    if cluster.spec.exposure.type is not EngineExposureType.TURN_ONLY:
        return ""
    if not cluster.spec.turn.pool_refs:
        return "turn.poolRefs names no TurnPool"
    names = ", ".join(f"{pool.metadata.namespace}/{pool.metadata.name}" for pool in pools.admitted)
    if not names:
        return "no TurnPool in turn.poolRefs can be used"
    return f"none is open, ready and has an address in TurnPool {names}"


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
    return _OfPool(
        relay_list(pool, handed_out(pool, listed, await client_addresses(services, pool, listed))),
        ending_list(pool, listed, services.now()),
    )

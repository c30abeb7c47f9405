"""One round of a TurnPool."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool, TurnPoolSpec
from callfleet_operator.gateway.kube import Body
from callfleet_operator.observation import ConnectionFailures, FleetPod, Observation
from callfleet_operator.observe.readings import Snapshot
from callfleet_operator.plan import relays
from callfleet_operator.plan.decision import Decision
from callfleet_operator.plan.rollout import is_under_comparison, rollout
from callfleet_operator.reconcile.balancers import ensure_balancers
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.objects import ensure, ensure_monitor
from callfleet_operator.reconcile.pods import Limits, list_pods
from callfleet_operator.reconcile.pools import clusters_for
from callfleet_operator.reconcile.relay_addresses import client_addresses
from callfleet_operator.reconcile.relays import ending_relays, handed_out, peer_list, push
from callfleet_operator.reconcile.report import decision_attributes, report
from callfleet_operator.reconcile.revisions import Source, ensure_revisions
from callfleet_operator.reconcile.round import Round, hold_until
from callfleet_operator.reconcile.secrets import certificate_troubles, ensure_masters, pool_masters
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.objects import relay_objects
from callfleet_operator.render.relay_pod import relay_template
from callfleet_operator.render.revision import spec_digest
from callfleet_operator.status.case import Case
from callfleet_operator.status.facts import Facts
from callfleet_operator.status.summary import pool_status

STALE_AFTER: Final = timedelta(seconds=60)
"""As the default of a CallCluster; a TurnPool has no field for it."""


def relay_limits(spec: TurnPoolSpec) -> Limits:
    """How the load of relays is judged."""
    return Limits(spec.quota.allocations_per_pod, STALE_AFTER, ask_pods=True)


async def reconcile_pool(services: Services, key: Key, live: Body) -> Decision:
    """Bring the relays of a TurnPool nearer to its spec, and say how it stands."""
    pool = TurnPool.model_validate(live)
    spec, metadata = pool.spec, pool.metadata
    fleet = Fleet.of(pool, services.installation)
    now = Round.of(services, key, fleet, spec)
    services.metrics.target(key, spec.scaling.target_saturation_percent)
    # There are few, and each round compares their objects: the resource is asked for as well.
    services.resources.doubt(key)
    span = services.tracer.span

    with span("apply", what="objects"):
        if now.may_write:
            masters = await ensure_masters(services, pool, now.troubles)
            objects = relay_objects(pool, services.installation, admin_keys=services.admin_keys)
            await ensure(services, fleet, objects, now.troubles)
            await ensure_monitor(services, fleet, now.troubles)
        else:
            masters = await pool_masters(services, pool)
        revisions = await ensure_revisions(
            services,
            fleet,
            relay_template(fleet, spec),
            Source(metadata.generation, spec_digest(spec, fleet.image)),
            now.troubles,
            write=now.may_write,
        )

    with span("observe", what="pods"):
        reported = await services.metrics_source.relays()
        listed = await list_pods(services, fleet, reported.snapshot, relay_limits(spec))
        observation = now.observation(listed, reported, metadata, pool.status, revisions)
        failures = await _failures(services, pool, observation)
        observation = replace(observation, failures=failures)
        if is_under_comparison(observation):
            connections = await services.metrics_source.relay_connections()
            observation = replace(observation, connections=connections)
    with span("plan") as planned:
        rolling = rollout(spec, observation)
        decision, now.memory.plan = relays.plan(spec, observation, now.memory.plan)
        planned.set(**decision_attributes(decision))
    with span("apply", what="pods"):
        await now.act(
            decision,
            observation,
            revisions,
            rolling,
            max_total=spec.max_total_replicas,
        )

        engines: list[FleetPod] = []
        for cluster in await clusters_for(services, pool):
            engines += await _engines_of(services, cluster)
        peers = peer_list(engines)
        tell = partial(services.admin.put_peers, peers=peers)
        await push(listed.pods, tell, ("peers", peers), now.memory, services)

    balancers = await ensure_balancers(
        services, fleet, pool, listed, now.troubles, write=now.may_write
    )
    found = handed_out(pool, listed, await client_addresses(services, pool, listed, balancers))
    nowhere = "" if found.relays else "no other relay is open, ready and has an address"
    moves = {pod.uid: nowhere for pod in ending_relays(pool, listed, observation.now)}
    facts = Facts(
        invalid_hold_until=hold_until(metadata)[1],
        missing_secrets=await certificate_troubles(
            services, metadata.namespace, spec.certificate_secret
        ),
        name_conflicts=tuple(now.troubles.name_conflicts),
        apply_errors=tuple(now.troubles.apply_errors),
        unaddressed_pods=found.unaddressed,
        moves=moves,
        credentials_missing=masters.missing,
        credentials_malformed=masters.malformed,
        update_revision=revisions.update.hash,
        rollout=rolling,
    )
    case = Case.of(spec, observation, decision, facts)
    status = pool_status(case, pool.status, metadata.generation, found.endpoints)
    with span("report"):
        await report(services, key, live, status, decision)
    return decision


async def _failures(
    services: Services, pool: TurnPool, observation: Observation
) -> ConnectionFailures | None:
    if observation.metrics.problem is not None:
        return None
    since = relays.failure_window_start(pool.spec, observation)
    return await services.metrics_source.failures(
        pool.metadata.namespace, pool.metadata.name, since
    )


async def _engines_of(services: Services, cluster: CallCluster) -> tuple[FleetPod, ...]:
    """The engine pods of a CallCluster; only their addresses matter here."""
    fleet = Fleet.of(cluster, services.installation)
    limits = Limits(cluster.spec.capacity.participants_per_pod, STALE_AFTER, ask_pods=False)
    return (await list_pods(services, fleet, Snapshot(), limits)).pods

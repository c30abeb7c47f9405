"""One round of a TurnPool."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from callfleet_operator.api.v1alpha1 import TurnPool
from callfleet_operator.observation import ConnectionFailures, FleetPod, Observation
from callfleet_operator.plan import relays
from callfleet_operator.plan.rollout import is_under_comparison
from callfleet_operator.reconcile.balancers import ensure_balancers
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.pods import Listed, list_pods, peers_of, relay_limits
from callfleet_operator.reconcile.pools import clusters_for
from callfleet_operator.reconcile.relay_addresses import client_addresses
from callfleet_operator.reconcile.relays import ending_relays, handed_out, peer_list, push
from callfleet_operator.reconcile.report import report
from callfleet_operator.reconcile.round import Decided, Round
from callfleet_operator.reconcile.secrets import certificate_troubles, ensure_masters, pool_masters
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.templates import Revisions
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.objects import relay_objects
from callfleet_operator.render.relay_pod import relay_template
from callfleet_operator.status.case import Case
from callfleet_operator.status.summary import pool_status


async def reconcile_pool(services: Services, key: Key, pool: TurnPool) -> Decided:
    """Bring the relays of a TurnPool nearer to its spec, and say how it stands."""
    spec, span = pool.spec, services.tracer.span
    now = Round.of(services, key, pool)
    services.metrics.target(key, spec.scaling.target_saturation_percent)
    # There are few, and each round compares their objects: the resource is asked for as well.
    services.resources.doubt(key)

    with span("apply", what="objects"):
        if now.may_write:
            masters = await ensure_masters(services, pool, now.troubles)
            keys = services.admin_keys
            await now.ensure(relay_objects(pool, services.installation, admin_keys=keys))
        else:
            masters = await pool_masters(services, pool)
        revisions = await now.revisions(relay_template(now.fleet, spec))
    with span("observe", what="pods"):
        listed, observation = await _observe(now, pool, revisions)
    decided = now.decide(relays.plan, spec, observation)
    with span("apply", what="pods"):
        await now.act(decided, revisions)
        await _tell_peers(now, pool, listed)

    balancers = await ensure_balancers(now, pool, listed)
    found = handed_out(pool, listed, await client_addresses(services, pool, listed, balancers))
    nowhere = "" if found.relays else "no other relay is open, ready and has an address"
    facts = replace(
        now.facts(decided, revisions),
        missing_secrets=await certificate_troubles(
            services, now.fleet.namespace, spec.certificate_secret
        ),
        unaddressed_pods=found.unaddressed,
        moves={pod.uid: nowhere for pod in ending_relays(pool, listed, observation.now)},
        credentials_missing=masters.missing,
        credentials_malformed=masters.malformed,
    )
    case = Case.of(spec, observation, decided.decision, facts)
    status = pool_status(case, pool.status, pool.metadata.generation, found.endpoints)
    with span("report"):
        await report(services, key, pool, status, decided.decision)
    return decided


async def _observe(now: Round, pool: TurnPool, revisions: Revisions) -> tuple[Listed, Observation]:
    services, source = now.services, now.services.metrics_source
    reported = await source.relays()
    listed = await list_pods(services, now.fleet, reported.snapshot, relay_limits(pool.spec))
    observation = now.observation(listed, reported, revisions)
    observation = replace(observation, failures=await _failures(services, pool, observation))
    if is_under_comparison(observation):
        observation = replace(observation, connections=await source.relay_connections())
    return listed, observation


async def _failures(
    services: Services, pool: TurnPool, observation: Observation
) -> ConnectionFailures | None:
    if observation.metrics.problem is not None:
        return None
    since = relays.failure_window_start(pool.spec, observation)
    return await services.metrics_source.failures(
        pool.metadata.namespace, pool.metadata.name, since
    )


async def _tell_peers(now: Round, pool: TurnPool, listed: Listed) -> None:
    """Tell relays the addresses of the engines that they may exchange media with."""
    services = now.services
    engines: list[FleetPod] = []
    for cluster in await clusters_for(services, pool):
        engines += await peers_of(services, Fleet.of(cluster, services.installation))
    peers = peer_list(engines)
    tell = partial(services.admin.put_peers, peers=peers)
    await push(listed.pods, tell, ("peers", peers), now.memory, services)

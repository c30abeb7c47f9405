"""One round of a CallCluster."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.api.v1alpha1.callcluster import ForecastMode
from callfleet_operator.observation import NoOutlook, Observation, Outlook
from callfleet_operator.plan import engines
from callfleet_operator.plan.rollout import is_under_comparison
from callfleet_operator.plan.schedules import unreadable as unreadable_schedules
from callfleet_operator.reconcile.engine_addresses import tell_addresses
from callfleet_operator.reconcile.engine_objects import Keys, keys_of, objects_and_revisions
from callfleet_operator.reconcile.engine_relays import tell_relays
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.pods import Listed, engine_limits, list_pods
from callfleet_operator.reconcile.pools import pools_for
from callfleet_operator.reconcile.presets import unusable_presets
from callfleet_operator.reconcile.report import report
from callfleet_operator.reconcile.round import Decided, Round
from callfleet_operator.reconcile.secrets import missing_secrets
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.templates import Revisions
from callfleet_operator.status.case import Case
from callfleet_operator.status.summary import cluster_status


async def reconcile_cluster(services: Services, key: Key, cluster: CallCluster) -> Decided:
    """Bring the engines of a CallCluster nearer to its spec, and say how it stands."""
    spec, span = cluster.spec, services.tracer.span
    now = Round.of(services, key, cluster)
    services.metrics.target(key, spec.scaling.target_utilization_percent)

    with span("observe", what="references"):
        absent = await missing_secrets(services, cluster)
        unusable = await unusable_presets(services, cluster)
        pools = await pools_for(services, cluster)
    with span("apply", what="objects"):
        keys = await keys_of(services, pools) if now.may_write else Keys()
        revisions = await objects_and_revisions(now, cluster, keys, hold=bool(unusable))
    with span("observe", what="pods"):
        listed, observation = await _observe(now, cluster, revisions)
    decided = now.decide(engines.plan, spec, observation)
    with span("apply", what="pods"):
        await now.act(decided, revisions, reconnect_after=spec.drain.reconnect_after)
        unaddressed = await tell_addresses(services, cluster, listed, write=now.may_write)
        no_relays = await tell_relays(now, cluster, pools, listed)

    facts = replace(
        now.facts(decided, revisions),
        invalid_schedules=unreadable_schedules(spec.scaling.schedules),
        missing_secrets=(*absent, *keys.unreadable.values()),
        unusable_presets=unusable,
        missing_pools=pools.missing,
        refused_pools=pools.refused,
        no_relays=no_relays,
        unaddressed_pods=unaddressed,
    )
    case = Case.of(spec, observation, decided.decision, facts)
    status = cluster_status(case, cluster.status, cluster.metadata.generation)
    with span("report"):
        await report(services, key, cluster, status, decided.decision)
    return decided


async def _observe(
    now: Round, cluster: CallCluster, revisions: Revisions
) -> tuple[Listed, Observation]:
    services, source = now.services, now.services.metrics_source
    reported = await source.engines()
    listed = await list_pods(services, now.fleet, reported.snapshot, engine_limits(cluster.spec))
    observation = replace(
        now.observation(listed, reported, revisions),
        demand=reported.snapshot.demand.get((now.fleet.namespace, now.fleet.name)),
        outlook=_outlook(services, cluster),
    )
    if is_under_comparison(observation):
        observation = replace(observation, connections=await source.engine_connections())
    return listed, observation


def _outlook(services: Services, cluster: CallCluster) -> Outlook | NoOutlook:
    forecast = cluster.spec.scaling.forecast
    if forecast.mode is ForecastMode.DISABLED:
        return NoOutlook("forecast.mode is Disabled")
    name = cluster.metadata.namespace, cluster.metadata.name
    horizon = timedelta(seconds=forecast.horizon_seconds)
    return services.history_source.outlook(name, horizon)

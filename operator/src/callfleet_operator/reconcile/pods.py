"""The pods of a fleet with their load: listed, judged by Prometheus and, failing that, asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.api.v1alpha1.callcluster import MetricsFallback
from callfleet_operator.gateway.pod_admin import Ok, Pod
from callfleet_operator.observation import FleetPod, PodLoad, Reading
from callfleet_operator.observe.nodes import Node
from callfleet_operator.observe.pods import SeenPod, member, ordinal_of
from callfleet_operator.observe.readings import Snapshot, status_reading
from callfleet_operator.plan.classify import judge
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Fleet

ASK_WITHIN = 8.0
"""Seconds for all pods of one round together."""
ASK_AT_MOST = 2000
ADDRESSES_WITHIN = 2.0
"""Seconds in which all pods of a fleet that are asked for their addresses have to answer."""
RELAY_STALE_AFTER: Final = timedelta(seconds=60)
"""As the default of a CallCluster; a TurnPool has no field for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How load is judged."""

    capacity: int
    stale_after: timedelta
    ask_pods: bool
    """Whether pods without fresh data in Prometheus are asked themselves."""


def engine_limits(spec: CallClusterSpec) -> Limits:
    """How the load of engines is judged."""
    return Limits(
        capacity=spec.capacity.participants_per_pod,
        stale_after=timedelta(seconds=spec.metrics.stale_after_seconds),
        ask_pods=spec.metrics.fallback is MetricsFallback.POD_STATUS,
    )


def relay_limits(spec: TurnPoolSpec) -> Limits:
    """How the load of relays is judged."""
    return Limits(spec.quota.allocations_per_pod, RELAY_STALE_AFTER, ask_pods=True)


@dataclass(frozen=True, slots=True)
class Listed:
    """The pods of a fleet and their nodes."""

    pods: tuple[FleetPod, ...]
    nodes: Mapping[str, Node] | None
    """None: nodes may not be read."""


async def list_pods(services: Services, fleet: Fleet, snapshot: Snapshot, limits: Limits) -> Listed:
    """Every pod of the fleet's labels and names, those of an earlier resource too."""
    found = await _named(services, fleet)
    # After the pods: a pod's node that is not there now is gone, not new.
    nodes = await services.nodes.of(seen.pod.node for _, seen in found if seen.pod.node)
    now = services.now()
    readings = {
        seen.pod.uid: snapshot.readings.get((fleet.namespace, seen.pod.name)) or ()
        for _, seen in found
    }
    loads = {uid: _judged(uid, those, limits, now) for uid, those in readings.items()}
    if limits.ask_pods:
        silent = [seen for _, seen in found if not loads[seen.pod.uid].known]
        for uid, own in (await _ask(services, silent)).items():
            loads[uid] = _judged(uid, (*readings[uid], own), limits, now)
    return Listed(
        tuple(
            member(
                seen,
                ordinal=ordinal,
                owned=seen.owner == fleet.uid,
                zone=_zone(nodes, seen.pod.node),
                load=loads[seen.pod.uid],
            )
            for ordinal, seen in found
        ),
        nodes,
    )


async def peers_of(services: Services, fleet: Fleet) -> list[FleetPod]:
    """The same pods, of which nothing is known but what they say of themselves."""
    return [seen.pod for _, seen in await _named(services, fleet)]


async def _named(services: Services, fleet: Fleet) -> list[tuple[int, SeenPod]]:
    return [
        (ordinal, seen)
        for seen in await services.pods[fleet.component].of(fleet)
        if (ordinal := ordinal_of(seen.pod.name, fleet.object_name)) is not None
    ]


def _judged(uid: str, readings: tuple[Reading, ...], limits: Limits, now: datetime) -> PodLoad:
    # An earlier pod of the name leaves its series behind for minutes.
    mine = [reading for reading in readings if reading.uid in ("", uid)]
    return judge(mine, uid=uid, capacity=limits.capacity, now=now, stale_after=limits.stale_after)


async def _ask(services: Services, silent: Iterable[SeenPod]) -> dict[str, Reading]:
    asked = [
        Pod(seen.pod.address, seen.pod.uid) for seen in silent if seen.pod.address and seen.running
    ]
    answers = await _answers(services, asked[:ASK_AT_MOST], ASK_WITHIN)
    now = services.now()
    return {uid: status_reading(answer, now) for uid, answer in answers.items()}


async def ask_for_addresses(
    services: Services, pods: Iterable[FleetPod]
) -> dict[str, dict[str, Any]]:
    """What pods say of themselves, by uid, for what they know of their own addresses; those that
    are silent are left out."""
    asked = [Pod(pod.address, pod.uid) for pod in pods]
    return await _answers(services, asked, ADDRESSES_WITHIN)


async def _answers(
    services: Services, pods: Iterable[Pod], within: float
) -> dict[str, dict[str, Any]]:
    outcomes = await services.admin.statuses(pods, within)
    return {uid: outcome.answer for uid, outcome in outcomes.items() if isinstance(outcome, Ok)}


def _zone(nodes: Mapping[str, Node] | None, name: str) -> str:
    node = (nodes or {}).get(name)
    return node.zone if node else ""

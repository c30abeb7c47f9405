"""By which address clients reach each relay of a pool: never a guessed one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from callfleet_operator.api.v1alpha1 import TurnPool
from callfleet_operator.api.v1alpha1.common import AddressSource
from callfleet_operator.api.v1alpha1.turnpool import RelayExposureType
from callfleet_operator.gateway.errors import ForbiddenError, InvalidError
from callfleet_operator.gateway.pod_admin import Ok, Pod
from callfleet_operator.gateway.resources import SERVICES
from callfleet_operator.observation import Admission, FleetPod
from callfleet_operator.observe.addresses import (
    UnknownAddress,
    balancer_address,
    node_address,
    seen_address,
)
from callfleet_operator.observe.nodes import Node
from callfleet_operator.reconcile.objects import Troubles
from callfleet_operator.reconcile.pods import Listed
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.together import all_of
from callfleet_operator.render.balancer import relay_balancer
from callfleet_operator.render.fleet import Fleet

STATUS_SECONDS = 2.0
"""In which all relays of a pool have to say how a STUN server sees them."""

Addresses = Mapping[str, str | UnknownAddress]
"""By the uid of the pod."""


def ready_relays(listed: Listed) -> list[FleetPod]:
    """Those that clients may be sent to, once they have an address."""
    return [
        pod
        for pod in sorted(listed.pods, key=lambda pod: pod.ordinal)
        if pod.ready and not pod.terminating and pod.admission is Admission.OPEN
    ]


async def client_addresses(services: Services, pool: TurnPool, listed: Listed) -> Addresses:
    """The addresses of ready relays, or why one has none."""
    relays = ready_relays(listed)
    if pool.spec.exposure.type is RelayExposureType.LOAD_BALANCER:
        return await _of_balancers(services, pool, relays)
    if pool.spec.exposure.address.source is AddressSource.STUN:
        return await _as_seen(services, pool, relays)
    if listed.nodes is None:
        unread = UnknownAddress("the operator may not read nodes (RBAC)")
        return {pod.uid: unread for pod in relays}
    return {pod.uid: _of_node(pool, pod, listed.nodes.get(pod.node)) for pod in relays}


def _of_node(pool: TurnPool, pod: FleetPod, node: Node | None) -> str | UnknownAddress:
    found = node_address(pool.spec.exposure.address, node)
    if isinstance(found, UnknownAddress):
        return UnknownAddress(f"node {pod.node} {found.why}")
    return found


async def _of_balancers(
    services: Services, pool: TurnPool, relays: Iterable[FleetPod]
) -> Addresses:
    async def of(pod: FleetPod) -> tuple[str, str | UnknownAddress]:
        service = await services.kube.get(SERVICES, pool.metadata.namespace, pod.name)
        return pod.uid, balancer_address(service, pod.name, pod.uid)

    return dict(await asyncio.gather(*(of(pod) for pod in relays)))


async def _as_seen(services: Services, pool: TurnPool, relays: Iterable[FleetPod]) -> Addresses:
    asked = [Pod(pod.address, pod.uid) for pod in relays]
    outcomes = await services.admin.statuses(asked, STATUS_SECONDS)
    server = pool.spec.exposure.address.value

    def of(uid: str) -> str | UnknownAddress:
        outcome = outcomes[uid]
        answer: dict[str, Any] | None = outcome.answer if isinstance(outcome, Ok) else None
        return seen_address(answer, server)

    return {pod.uid: of(pod.uid) for pod in asked}


async def ensure_balancers(
    services: Services, fleet: Fleet, pool: TurnPool, listed: Listed, troubles: Troubles
) -> None:
    """A Service for each relay that is not sealed, with exposure LoadBalancer."""
    if pool.spec.exposure.type is not RelayExposureType.LOAD_BALANCER:
        return

    async def ensure(pod: FleetPod) -> None:
        body = relay_balancer(fleet, pool.spec, pod)
        live = await services.kube.get(SERVICES, fleet.namespace, pod.name)
        owners = (live or {}).get("metadata", {}).get("ownerReferences") or []
        if live is not None and not any(
            owner["kind"] == "Pod" and owner["name"] == pod.name for owner in owners
        ):
            troubles.name_conflicts.append(f"Service {pod.name}")
            return
        try:
            await services.kube.apply(body, live)
        except (ForbiddenError, InvalidError) as refusal:
            troubles.refused("Service", pod.name, refusal)

    kept = [
        pod for pod in listed.pods if not pod.terminating and pod.admission is not Admission.SEALED
    ]
    await all_of(ensure(pod) for pod in kept)

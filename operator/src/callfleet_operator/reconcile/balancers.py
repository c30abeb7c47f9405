"""The Services of type LoadBalancer of a pool's relays, with exposure LoadBalancer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from callfleet_operator.api.v1alpha1 import TurnPool
from callfleet_operator.api.v1alpha1.turnpool import RelayExposureType
from callfleet_operator.gateway.errors import ForbiddenError, InvalidError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import SERVICES
from callfleet_operator.observation import Admission, FleetPod
from callfleet_operator.reconcile.pods import Listed
from callfleet_operator.reconcile.round import Round
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.together import all_of
from callfleet_operator.render.balancer import relay_balancer

Balancers = Mapping[str, Body | None]
"""By the uid of the pod what stands under the Service's name, somebody else's too."""


async def balancers_of(services: Services, pool: TurnPool, relays: Iterable[FleetPod]) -> Balancers:
    """As they stand; none with another exposure."""
    if pool.spec.exposure.type is not RelayExposureType.LOAD_BALANCER:
        return {}
    pods = tuple(relays)
    found = await asyncio.gather(
        *(services.kube.get(SERVICES, pool.metadata.namespace, pod.name) for pod in pods)
    )
    return {pod.uid: service for pod, service in zip(pods, found, strict=True)}


async def ensure_balancers(now: Round, pool: TurnPool, listed: Listed) -> Balancers:
    """One for each relay that is not sealed, as it stands then."""
    services, fleet = now.services, now.fleet
    kept = [
        pod for pod in listed.pods if not pod.terminating and pod.admission is not Admission.SEALED
    ]
    if not now.may_write or pool.spec.exposure.type is not RelayExposureType.LOAD_BALANCER:
        return await balancers_of(services, pool, kept)
    standing: dict[str, Body | None] = {}

    async def ensure(pod: FleetPod) -> None:
        live = await services.kube.get(SERVICES, fleet.namespace, pod.name)
        standing[pod.uid] = live
        owners = (live or {}).get("metadata", {}).get("ownerReferences") or []
        if live is not None and not any(
            owner["kind"] == "Pod" and owner["name"] == pod.name for owner in owners
        ):
            now.troubles.name_conflicts.append(f"Service {pod.name}")
            return
        try:
            wanted = relay_balancer(fleet, pool.spec, pod)
            standing[pod.uid] = await services.kube.apply(wanted, live)
        except (ForbiddenError, InvalidError) as refusal:
            now.troubles.refused("Service", pod.name, refusal)

    await all_of(ensure(pod) for pod in kept)
    return standing

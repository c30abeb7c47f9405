"""By which address clients reach each relay of a pool: never a guessed one."""

from __future__ import annotations

from collections.abc import Mapping

from callfleet_operator.api.v1alpha1 import TurnPool
from callfleet_operator.api.v1alpha1.common import AddressSource
from callfleet_operator.api.v1alpha1.turnpool import RelayExposureType
from callfleet_operator.observation import Admission, FleetPod
from callfleet_operator.observe.addresses import (
    UnknownAddress,
    balancer_address,
    node_address,
    seen_address,
)
from callfleet_operator.observe.nodes import Node
from callfleet_operator.reconcile.balancers import Balancers
from callfleet_operator.reconcile.pods import Listed, ask_for_addresses
from callfleet_operator.reconcile.services import Services

Addresses = Mapping[str, str | UnknownAddress]
"""By the uid of the pod."""


def ready_relays(listed: Listed) -> list[FleetPod]:
    """Those that clients may be sent to, once they have an address."""
    return [
        pod
        for pod in sorted(listed.pods, key=lambda pod: pod.ordinal)
        if pod.ready and not pod.terminating and pod.admission is Admission.OPEN
    ]


async def client_addresses(
    services: Services, pool: TurnPool, listed: Listed, balancers: Balancers
) -> Addresses:
    """The addresses of ready relays, or why one has none."""
    relays = ready_relays(listed)
    if pool.spec.exposure.type is RelayExposureType.LOAD_BALANCER:
        return {pod.uid: balancer_address(balancers[pod.uid], pod.name, pod.uid) for pod in relays}
    if pool.spec.exposure.address.source is AddressSource.STUN:
        answers = await ask_for_addresses(services, relays)
        server = pool.spec.exposure.address.value
        return {pod.uid: seen_address(answers.get(pod.uid), server) for pod in relays}
    if listed.nodes is None:
        unread = UnknownAddress("the operator may not read nodes (RBAC)")
        return {pod.uid: unread for pod in relays}
    return {pod.uid: _of_node(pool, pod, listed.nodes.get(pod.node)) for pod in relays}


def _of_node(pool: TurnPool, pod: FleetPod, node: Node | None) -> str | UnknownAddress:
    found = node_address(pool.spec.exposure.address, node)
    if isinstance(found, UnknownAddress):
        return UnknownAddress(f"node {pod.node} {found.why}")
    return found

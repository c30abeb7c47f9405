"""Tells engine pods by which address of their node clients reach them, and says which have none."""

from __future__ import annotations

import logging

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.api.v1alpha1.common import AddressSource
from callfleet_operator.gateway.errors import ConflictError, NotFoundError
from callfleet_operator.observation import FleetPod
from callfleet_operator.observe.addresses import UnknownAddress, node_address
from callfleet_operator.observe.nodes import EXTERNAL_ADDRESS, Node
from callfleet_operator.reconcile.pods import Listed, ask_for_addresses
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.together import all_of
from callfleet_operator.render.engine_pod import is_direct
from callfleet_operator.render.fleet import Component

log = logging.getLogger(__name__)


async def tell_addresses(
    services: Services, cluster: CallCluster, listed: Listed, *, write: bool
) -> tuple[str, ...]:
    """Annotate pods whose node's address they do not know yet; the pods that have none, and why.

    An address that is no longer found stays: calls may depend on it.
    """
    if not is_direct(cluster.spec):
        return ()
    if cluster.spec.exposure.address.source is AddressSource.STUN:
        return await _unseen(services, listed)
    unaddressed = []
    wanted = []
    for pod in listed.pods:
        if not pod.node or pod.terminating:
            continue
        if listed.nodes is None:
            unaddressed.append(f"{pod.name}: the operator may not read nodes (RBAC)")
            continue
        node = listed.nodes.get(pod.node)
        address = node_address(cluster.spec.exposure.address, node)
        if isinstance(address, UnknownAddress):
            unaddressed.append(f"{pod.name}: node {pod.node} {address.why}")
            continue
        told = f"{address} {_source(address, node)}"
        automatic = cluster.spec.exposure.address.source is AddressSource.AUTO
        if automatic and pod.external_address != told:
            wanted.append((pod, told))
    if write:
        await all_of(_tell(services, cluster, pod, told) for pod, told in wanted)
    return tuple(unaddressed)


async def _unseen(services: Services, listed: Listed) -> tuple[str, ...]:
    """Pods that are not ready because no STUN server has told them their address."""
    waiting = [p for p in listed.pods if p.address and not p.ready and not p.terminating]
    answers = await ask_for_addresses(services, waiting)
    found = []
    for pod in waiting:
        problem = answers.get(pod.uid, {}).get("addressProblem")
        if problem:
            found.append(
                f"{pod.name}: {str(problem)[:200]}: set exposure.address.value to a STUN server "
                "that answers, or another exposure.address.source"
            )
    return tuple(found)


def _source(address: str, node: Node | None) -> str:
    if node is None:
        return ""
    if node.annotated_address == address:
        return f"annotation {EXTERNAL_ADDRESS} of node {node.name}"
    return f"ExternalIP of node {node.name}"


async def _tell(services: Services, cluster: CallCluster, pod: FleetPod, told: str) -> None:
    path = f"/metadata/annotations/{EXTERNAL_ADDRESS.replace('/', '~1')}"
    try:
        body = await services.kube.patch_pod(
            cluster.metadata.namespace,
            pod.name,
            pod.uid,
            pod.resource_version,
            [{"op": "add", "path": path, "value": told}],
        )
    except (ConflictError, NotFoundError) as changed:
        log.info("%s has changed, its address is left to the next round: %s", pod.name, changed)
        return
    services.pods[Component.ENGINE].note(body)
    log.info(
        "%s is told its address for clients: %s",
        pod.name,
        told,
        extra={"event": "address-told", "pod": pod.name},
    )

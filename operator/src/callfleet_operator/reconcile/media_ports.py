"""Creates engine pods with a UDP port of the nodes that no other engine pod has.

The number stands on the pod, in its annotation and its hostPort: there is no other record, so none
can be lost. Two rounds of this process take turns, and each lists the pods anew. Should two
operators act at once in spite of the lease, the scheduler still puts no two pods with one hostPort
on a node: the later pod waits, unschedulable, until another node or the port is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callfleet_operator.gateway.errors import InvalidError
from callfleet_operator.gateway.resources import PODS
from callfleet_operator.observe.pods import media_port_of
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import COMPONENT_LABEL, Component, Fleet
from callfleet_operator.render.media_port import NoFreePort, choose, port_range
from callfleet_operator.render.pod import ordinal_pod


async def create_pod(
    services: Services, fleet: Fleet, template: Mapping[str, Any], ordinal: int
) -> None:
    """Create the pod of an ordinal.

    Raises what `Kube.create` raises, and InvalidError if its range has no free port.
    """
    ports = port_range(template)
    if ports is None:
        body = await services.kube.create(ordinal_pod(fleet, template, ordinal))
        services.pods[fleet.component].note(body)
        return
    async with services.media_ports:
        port = choose(ports, ordinal, await _taken(services))
        if isinstance(port, NoFreePort):
            raise InvalidError(f"create Pod {fleet.pod_name(ordinal)}", 0, str(port))
        body = await services.kube.create(ordinal_pod(fleet, template, ordinal, media_port=port))
        services.pods[fleet.component].note(body)


async def _taken(services: Services) -> frozenset[int]:
    """Ports of all engine pods that there are, terminating ones too, of every CallCluster."""
    bodies = [
        body
        for namespace in services.namespaces or ("",)
        for body in await services.kube.list_all(
            PODS, namespace, f"{COMPONENT_LABEL}={Component.ENGINE}"
        )
    ]
    return frozenset(port for body in bodies if (port := media_port_of(body)) is not None)

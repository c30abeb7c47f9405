"""The Service of type LoadBalancer of one relay.

One a relay and none for all: clients are sent to the relay that has room, and one that drains keeps
its sessions while nobody new is sent to it (docs/adr/0015).
"""

from __future__ import annotations

from typing import Any

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.observation import FleetPod
from callfleet_operator.render.fleet import ORDINAL_LABEL, Fleet
from callfleet_operator.render.relay_pod import listener_name, listener_transport


def relay_balancer(fleet: Fleet, spec: TurnPoolSpec, pod: FleetPod) -> dict[str, Any]:
    """It belongs to the pod and goes with it."""
    metadata = fleet.metadata(pod.name)
    metadata["labels"] = {**metadata["labels"], ORDINAL_LABEL: str(pod.ordinal)}
    metadata["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid, "controller": True}
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "LoadBalancer",
            # Straight to the relay's node, and with the client's own address.
            "externalTrafficPolicy": "Local",
            # kube-proxy would cut the UDP flows of a relay that is not ready for a moment.
            "publishNotReadyAddresses": True,
            "selector": {**fleet.selector, ORDINAL_LABEL: str(pod.ordinal)},
            "ports": [
                {
                    "name": listener_name(listener),
                    "port": listener.port,
                    "targetPort": listener.port,
                    "protocol": listener_transport(listener),
                }
                for listener in spec.listeners
            ],
        },
    }

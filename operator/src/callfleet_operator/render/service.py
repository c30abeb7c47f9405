"""The Service that carries signalling to the engine pods."""

from __future__ import annotations

from typing import Any

from callfleet_operator.api.v1alpha1.signalling import Signalling
from callfleet_operator.render.fleet import Fleet


def signalling_service(fleet: Fleet, signalling: Signalling) -> dict[str, Any]:
    """Any pod takes any participant's signalling, also one that drains or is full."""
    metadata = fleet.metadata(fleet.object_name)
    if signalling.annotations:
        metadata["annotations"] = dict(signalling.annotations)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": str(signalling.service_type),
            "selector": fleet.selector,
            "ports": [_port(signalling)],
        },
    }


def _port(signalling: Signalling) -> dict[str, Any]:
    """With a certificate signalling is to be had over TLS only."""
    if signalling.tls_secret_ref.name:
        return {"name": "https", "port": 443, "targetPort": "signalling-tls", "protocol": "TCP"}
    return {"name": "signalling", "port": 80, "targetPort": "signalling", "protocol": "TCP"}

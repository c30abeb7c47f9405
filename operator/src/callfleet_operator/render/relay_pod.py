"""The pod template of relays. contracts.md, "What the operator gives a pod"."""

from __future__ import annotations

from typing import Any, Final

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import AddressSource
from callfleet_operator.api.v1alpha1.turnpool import (
    Listener,
    PeerPolicy,
    Protocol,
    RelayExposureType,
)
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.template import (
    HOST_NETWORK,
    certificate_variables,
    certificate_volumes,
    common_environment,
    pod_template,
    variable,
)

RELAYS_PER_NODE: Final = "callfleet.dev/relays-per-node"
"""Annotation of a relay's template: the pod's ports on the node follow from it (render/pod.py)."""
MASTER_SECRETS_KEY: Final = "secrets"

_PREFIX: Final = "CALLFLEET_RELAY"
_CONFIG: Final = "/etc/callfleet/relay"
_TURN: Final = "/etc/callfleet/turn"


def relay_template(fleet: Fleet, spec: TurnPoolSpec) -> dict[str, Any]:
    """The template that every relay pod of one revision is made from."""
    annotations = {}
    if spec.exposure.type is RelayExposureType.HOST_PORT:
        annotations[RELAYS_PER_NODE] = str(spec.exposure.relays_per_node)
    template = pod_template(
        fleet,
        spec,
        resources=spec.resources,
        environment=_environment(fleet, spec),
        ports=[_port(listener) for listener in spec.listeners],
        volumes={
            "config": (_CONFIG, {"configMap": {"name": fleet.object_name}}),
            "turn-secrets": (_TURN, {"secret": _master_secrets(fleet, spec)}),
            **certificate_volumes(spec.certificate_secret),
            "tmp": ("/tmp", {"emptyDir": {"sizeLimit": "64Mi"}}),  # noqa: S108  # the pod's own
        },
        annotations=annotations,
    )
    if spec.exposure.type is RelayExposureType.HOST_NETWORK:
        template["spec"] |= HOST_NETWORK
    return template


def listener_name(listener: Listener) -> str:
    """Its name among the ports of a pod or a Service."""
    return f"{listener.protocol.lower()}-{listener.port}"


def listener_transport(listener: Listener) -> str:
    """What Kubernetes calls the protocol of a port."""
    return "UDP" if listener.protocol is Protocol.UDP else "TCP"


def _port(listener: Listener) -> dict[str, Any]:
    return {
        "name": listener_name(listener),
        "containerPort": listener.port,
        "protocol": listener_transport(listener),
    }


def _environment(fleet: Fleet, spec: TurnPoolSpec) -> list[dict[str, Any]]:
    listen = " ".join(
        f"{listener.protocol.lower()}://0.0.0.0:{listener.port}" for listener in spec.listeners
    )
    made = [
        *common_environment(_PREFIX, _CONFIG, spec),
        variable(f"{_PREFIX}_LISTEN", listen),
        variable(f"{_PREFIX}_RELAY_ADDRESS", f"$({_PREFIX}_POD_ADDRESS)"),
        variable(f"{_PREFIX}_REALM", spec.realm or f"{fleet.name}.{fleet.namespace}"),
        variable(f"{_PREFIX}_SECRET_FILE", f"{_TURN}/{MASTER_SECRETS_KEY}"),
        variable(f"{_PREFIX}_MAX_ALLOCATIONS", spec.quota.allocations_per_pod),
        variable(f"{_PREFIX}_MAX_ALLOCATIONS_PER_USER", spec.quota.allocations_per_user),
        variable(f"{_PREFIX}_MAX_CREDENTIAL_LIFETIME", spec.credentials.max_lifetime_seconds),
        variable(f"{_PREFIX}_MAX_BITS_PER_SECOND", spec.quota.bits_per_second_per_allocation),
        variable(f"{_PREFIX}_PEERS_FROM_ADMIN", "true"),
        # Calls have no use for it, and it would let credentials reach any TCP service of a peer.
        variable(f"{_PREFIX}_NO_TCP_RELAY", "true"),
    ]
    if spec.exposure.address.source is AddressSource.STUN:
        server = f"stun:{spec.exposure.address.value}"
        made.append(variable(f"{_PREFIX}_PUBLIC_ADDRESS_FROM", server))
    if spec.certificate_secret:
        made += certificate_variables(f"{_PREFIX}_CERT", f"{_PREFIX}_KEY")
    if spec.peers.policy is PeerPolicy.CIDRS:
        made.append(variable(f"{_PREFIX}_ALLOW_PEER", " ".join(spec.peers.cidrs)))
    return made


def _master_secrets(fleet: Fleet, spec: TurnPoolSpec) -> dict[str, Any]:
    return {
        "secretName": spec.credentials.secret_ref.name or fleet.turn_secret_name,
        "items": [{"key": MASTER_SECRETS_KEY, "path": MASTER_SECRETS_KEY}],
    }

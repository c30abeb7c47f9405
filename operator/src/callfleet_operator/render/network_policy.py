"""NetworkPolicies: who may send what to engines and relays, and where relays may send."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import AddressSource
from callfleet_operator.api.v1alpha1.turnpool import NamespacesFrom, Protocol
from callfleet_operator.render.engine_pod import is_direct
from callfleet_operator.render.fleet import (
    COMPONENT_LABEL,
    NAME_LABEL,
    PART_OF,
    Component,
    Fleet,
    Installation,
)

_NAMESPACE: Final = "kubernetes.io/metadata.name"
_PART_OF_LABEL: Final = "app.kubernetes.io/part-of"


def engine_network_policy(
    fleet: Fleet, spec: CallClusterSpec, installation: Installation
) -> dict[str, Any]:
    """Signalling and metrics for all, admin for the operator, media (UDP) for the relays.

    With exposure HostPort the media port is for all. Pods on the node's network are beyond any
    policy.
    """
    relays = [
        {
            "namespaceSelector": _namespace(pool.namespace or fleet.namespace),
            "podSelector": {
                "matchLabels": {
                    COMPONENT_LABEL: str(Component.RELAY),
                    Component.RELAY.fleet_label: pool.name,
                }
            },
        }
        for pool in spec.turn.pool_refs
    ]
    # Any port for the relays: pods of an earlier revision may not have the one named media.
    media: list[dict[str, Any]] = (
        [{"from": relays, "ports": [{"protocol": "UDP"}]}] if relays else []
    )
    if is_direct(spec):
        media.append({"ports": [{"protocol": "UDP", "port": "media"}]})
    return _policy(
        fleet,
        ingress=[
            *_signalling(fleet, spec),
            _admin(installation),
            *media,
        ],
    )


def _signalling(fleet: Fleet, spec: CallClusterSpec) -> list[dict[str, Any]]:
    if not spec.signalling.tls_secret_ref.name:
        return [{"ports": [_tcp("signalling"), _tcp("metrics")]}]
    # Without TLS the pods of the fleet reach each other, and nobody else does.
    own = {"podSelector": {"matchLabels": fleet.selector}}
    return [
        {"ports": [_tcp("signalling-tls"), _tcp("metrics")]},
        {"from": [own], "ports": [_tcp("signalling")]},
    ]


def relay_network_policy(
    fleet: Fleet, spec: TurnPoolSpec, installation: Installation
) -> dict[str, Any]:
    """Listeners and metrics for all, admin for the operator, relayed media to and from engines, and
    the way to the STUN server that relays ask for their address.

    Answers to clients need no rule: they belong to connections from outside.
    """
    peers: list[dict[str, Any]] = [
        {
            **_namespaces(spec),
            "podSelector": {
                "matchLabels": {
                    COMPONENT_LABEL: str(Component.ENGINE),
                    _PART_OF_LABEL: PART_OF,
                }
            },
        },
        *({"ipBlock": {"cidr": cidr}} for cidr in spec.peers.cidrs),
    ]
    media = [{"protocol": "UDP"}]
    listeners = [
        {
            "protocol": "UDP" if listener.protocol is Protocol.UDP else "TCP",
            "port": listener.port,
        }
        for listener in spec.listeners
    ]
    return _policy(
        fleet,
        ingress=[
            {"ports": [*listeners, _tcp("metrics")]},
            _admin(installation),
            {"from": peers, "ports": media},
        ],
        egress=[{"to": peers, "ports": media}, *_stun(spec)],
    )


def _stun(spec: TurnPoolSpec) -> list[dict[str, Any]]:
    """A policy cannot name a host: with a name in place of an address its port is open to all, and
    so is DNS."""
    address = spec.exposure.address
    if address.source is not AddressSource.STUN:
        return []
    host, _, port = address.value.rpartition(":")
    asked: dict[str, Any] = {"ports": [{"protocol": "UDP", "port": int(port)}]}
    try:
        return [asked | {"to": [{"ipBlock": {"cidr": f"{IPv4Address(host)}/32"}}]}]
    except AddressValueError:
        return [
            asked,
            {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        ]


def _policy(
    fleet: Fleet,
    *,
    ingress: list[dict[str, Any]],
    egress: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": fleet.selector},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    if egress is not None:
        spec["policyTypes"] = ["Ingress", "Egress"]
        spec["egress"] = egress
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": fleet.metadata(fleet.object_name),
        "spec": spec,
    }


def _admin(installation: Installation) -> dict[str, Any]:
    return {
        "from": [
            {
                "namespaceSelector": _namespace(installation.operator_namespace),
                "podSelector": {"matchLabels": {NAME_LABEL: "callfleet-operator"}},
            }
        ],
        "ports": [_tcp("admin")],
    }


def _namespaces(spec: TurnPoolSpec) -> dict[str, Any]:
    """The namespaces whose engines may use the pool; without a selector its own."""
    allowed = spec.allowed_namespaces
    if allowed.from_ is NamespacesFrom.ALL:
        return {"namespaceSelector": {}}
    if allowed.from_ is NamespacesFrom.SELECTOR and allowed.selector is not None:
        return {"namespaceSelector": dict(allowed.selector)}
    return {}


def _namespace(name: str) -> Mapping[str, Any]:
    return {"matchLabels": {_NAMESPACE: name}}


def _tcp(port: str) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}

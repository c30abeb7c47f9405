"""The address of a node that clients are told, or why there is none. Never a silent guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import Address, AddressSource
from callfleet_operator.api.v1alpha1.turnpool import Protocol
from callfleet_operator.observe.nodes import EXTERNAL_ADDRESS, Node, is_address

_SCHEMES: Final = {Protocol.UDP: "turn", Protocol.TCP: "turn", Protocol.TLS: "turns"}
_TRANSPORTS: Final = {Protocol.UDP: "udp", Protocol.TCP: "tcp", Protocol.TLS: "tcp"}


@dataclass(frozen=True, slots=True)
class UnknownAddress:
    """No address: `why` says what is missing and what to do, without a full stop."""

    why: str


def node_address(spec: Address, node: Node | None) -> str | UnknownAddress:
    """The address by which clients reach what stands on this node; not with source STUN."""
    if spec.source is AddressSource.STATIC:
        return spec.value
    if node is None:
        return UnknownAddress("is not known to the API server")
    if spec.source is AddressSource.NODE_INTERNAL_IP:
        return node.internal_ips[0] if node.internal_ips else UnknownAddress("has no InternalIP")
    return _automatic(node)


def _automatic(node: Node) -> str | UnknownAddress:
    if node.annotated_address:
        if is_address(node.annotated_address):
            return node.annotated_address
        return UnknownAddress(
            f"has {node.annotated_address[:64]!r} as annotation {EXTERNAL_ADDRESS}, which is no IP "
            "address"
        )
    if node.external_ips:
        return node.external_ips[0]
    return UnknownAddress(
        f"has no ExternalIP: annotate it with {EXTERNAL_ADDRESS}=ADDRESS, or set "
        "exposure.address.source to NodeInternalIP if clients reach the nodes' internal addresses"
    )


def balancer_address(
    service: Mapping[str, Any] | None, name: str, pod_uid: str
) -> str | UnknownAddress:
    """The address or name of the load balancer that belongs to a pod."""
    if service is None or not any(
        owner.get("uid") == pod_uid for owner in service["metadata"].get("ownerReferences") or []
    ):
        return UnknownAddress(f"there is no Service {name} of this pod yet")
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        address: str = ingress.get("ip", "")
        if is_address(address):
            return address
        if host := ingress.get("hostname", ""):
            return str(host)
    return UnknownAddress(
        f"Service {name} has no address from a load balancer yet: `kubectl describe service` says "
        "what the cluster's cloud provider or load balancer is doing"
    )


def seen_address(status: Mapping[str, Any] | None, server: str) -> str | UnknownAddress:
    """The address that a relay has from a STUN server; `status` is what it says of itself, None if
    it is silent."""
    if status is None:
        return UnknownAddress("it does not say how the STUN server sees it: no answer")
    public = status.get("public") or {}
    address = public.get("address", "")
    if is_address(address):
        return str(address)
    why = public.get("problem") or "no answer yet"
    return UnknownAddress(
        f"STUN server {server}: {str(why)[:200]}: set exposure.address.value to one that answers, "
        "or another exposure.address.source"
    )


def turn_urls(address: str, spec: TurnPoolSpec, ordinal: int) -> tuple[str, ...]:
    """The URLs of one relay (RFC 7065): its address and its ports there."""
    host = f"[{address}]" if ":" in address else address
    offset = ordinal % spec.exposure.relays_per_node
    return tuple(
        f"{_SCHEMES[listener.protocol]}:{host}:{listener.port + offset}"
        f"?transport={_TRANSPORTS[listener.protocol]}"
        for listener in spec.listeners
    )

"""The address of a node that clients are told, or why there is none. Never a silent guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
    """The address by which clients reach a relay on this node."""
    if spec.source is AddressSource.STATIC:
        return spec.value
    if spec.source is AddressSource.STUN:
        return UnknownAddress(
            "exposure.address.source STUN has no effect in this release: choose Auto, "
            "NodeInternalIP or Static"
        )
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


def turn_urls(address: str, spec: TurnPoolSpec, ordinal: int) -> tuple[str, ...]:
    """The URLs of one relay (RFC 7065): the node's address and the relay's port on the node."""
    host = f"[{address}]" if ":" in address else address
    offset = ordinal % spec.exposure.relays_per_node
    return tuple(
        f"{_SCHEMES[listener.protocol]}:{host}:{listener.port + offset}"
        f"?transport={_TRANSPORTS[listener.protocol]}"
        for listener in spec.listeners
    )

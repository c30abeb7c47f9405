"""The address of a node that clients are told, or why there is none. Never a silent guess."""

from __future__ import annotations

from dataclasses import dataclass

from callfleet_operator.api.v1alpha1.common import Address, AddressSource
from callfleet_operator.observe.nodes import EXTERNAL_ADDRESS, Node, is_address


@dataclass(frozen=True, slots=True)
class Unknown:
    """No address; `reason` is a CamelCase constant, `message` says what to do."""

    reason: str
    message: str


def node_address(spec: Address, node: Node | None) -> str | Unknown:
    """The address by which clients reach a relay on this node."""
    if spec.source is AddressSource.STATIC:
        return spec.value
    if spec.source is AddressSource.STUN:
        return Unknown(
            "NotYetInEffect",
            "exposure.address.source STUN has no effect in this release: choose Auto, "
            "NodeInternalIP or Static.",
        )
    if node is None:
        return Unknown("NodeUnknown", "the node of the pod is not known to the API server.")
    if spec.source is AddressSource.NODE_INTERNAL_IP:
        if node.internal_ips:
            return node.internal_ips[0]
        return Unknown("NoInternalAddress", f"node {node.name} has no InternalIP.")
    return _automatic(node)


def _automatic(node: Node) -> str | Unknown:
    if node.annotated_address:
        if is_address(node.annotated_address):
            return node.annotated_address
        return Unknown(
            "InvalidAddress",
            f"the annotation {EXTERNAL_ADDRESS} of node {node.name} is "
            f"{node.annotated_address[:64]!r}, which is no IP address.",
        )
    if node.external_ips:
        return node.external_ips[0]
    return Unknown(
        "NoExternalAddress",
        f"node {node.name} has no ExternalIP: annotate it with {EXTERNAL_ADDRESS}=ADDRESS, or set "
        "exposure.address.source to NodeInternalIP if clients reach the nodes' internal addresses.",
    )

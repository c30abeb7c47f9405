"""What the operator needs to know of a node."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EXTERNAL_ADDRESS = "callfleet.dev/external-address"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"


@dataclass(frozen=True, slots=True)
class Node:
    """One node."""

    name: str
    unschedulable: bool
    zone: str
    region: str
    annotated_address: str
    """Annotation callfleet.dev/external-address as it stands, maybe no address at all."""
    external_ips: tuple[str, ...]
    internal_ips: tuple[str, ...]


def node_of(body: Mapping[str, Any]) -> Node:
    """A node as the API shows it."""
    metadata, spec, status = body["metadata"], body.get("spec", {}), body.get("status", {})
    labels = metadata.get("labels", {})
    return Node(
        name=metadata["name"],
        unschedulable=bool(spec.get("unschedulable", False)),
        zone=labels.get(ZONE, ""),
        region=labels.get(REGION, ""),
        annotated_address=metadata.get("annotations", {}).get(EXTERNAL_ADDRESS, ""),
        external_ips=_addresses(status, "ExternalIP"),
        internal_ips=_addresses(status, "InternalIP"),
    )


def _addresses(status: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    return tuple(
        entry["address"]
        for entry in status.get("addresses", [])
        if entry.get("type") == kind and is_address(entry.get("address", ""))
    )


def is_address(text: str) -> bool:
    """Whether the text is an IP address that a client could be told."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast)


def unavailable(nodes: Mapping[str, Node], used: frozenset[str]) -> frozenset[str]:
    """Nodes of pods that are cordoned or gone."""
    return frozenset(name for name in used if name not in nodes or nodes[name].unschedulable)

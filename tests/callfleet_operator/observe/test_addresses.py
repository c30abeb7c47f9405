"""Which address clients are told, by table; nodes as the API server shows them."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import TurnPoolSpec
from callfleet_operator.api.v1alpha1.common import Address, AddressSource
from callfleet_operator.observe.addresses import (
    UnknownAddress,
    balancer_address,
    node_address,
    seen_address,
    turn_urls,
)
from callfleet_operator.observe.nodes import Node, node_of, unavailable


def node(annotation: str = "", external: str = "", internal: str = "10.0.0.1") -> Node:
    kinds = (("ExternalIP", external), ("InternalIP", internal), ("Hostname", "node-a"))
    body: dict[str, Any] = {
        "metadata": {
            "name": "node-a",
            "labels": {"topology.kubernetes.io/zone": "eu-1"},
            "annotations": {"callfleet.dev/external-address": annotation} if annotation else {},
        },
        "status": {
            "addresses": [{"type": kind, "address": address} for kind, address in kinds if address]
        },
    }
    return node_of(body)


@pytest.mark.parametrize(
    ("source", "value", "on", "address"),
    [
        (AddressSource.AUTO, "", node("203.0.113.1", "198.51.100.1"), "203.0.113.1"),
        (AddressSource.AUTO, "", node("", "198.51.100.1"), "198.51.100.1"),
        (AddressSource.AUTO, "", node("2001:db8::1"), "2001:db8::1"),
        (AddressSource.NODE_INTERNAL_IP, "", node("203.0.113.1", "198.51.100.1"), "10.0.0.1"),
        (AddressSource.STATIC, "192.0.2.1", None, "192.0.2.1"),
    ],
)
def test_known(source: AddressSource, value: str, on: Node | None, address: str) -> None:
    assert node_address(Address(source=source, value=value), on) == address


@pytest.mark.parametrize(
    ("source", "on", "why"),
    [
        (AddressSource.AUTO, node(), "has no ExternalIP: annotate it"),  # never the InternalIP
        (AddressSource.AUTO, node("gateway.example.org"), "which is no IP address"),
        (AddressSource.AUTO, node("0.0.0.0"), "which is no IP address"),
        (AddressSource.AUTO, node("224.0.0.1"), "which is no IP address"),
        (AddressSource.AUTO, None, "is not known to the API server"),
        (AddressSource.NODE_INTERNAL_IP, node(internal=""), "has no InternalIP"),
    ],
)
def test_unknown(source: AddressSource, on: Node | None, why: str) -> None:
    found = node_address(Address(source=source), on)
    assert isinstance(found, UnknownAddress)
    assert why in found.why


def test_an_annotation_that_is_no_address_is_not_passed_over() -> None:
    found = node_address(Address(), node("oops", external="198.51.100.1"))
    assert isinstance(found, UnknownAddress)


def test_urls_follow_the_ordinal() -> None:
    spec = TurnPoolSpec.model_validate(
        {
            "exposure": {"relaysPerNode": 4},
            "listeners": [
                {"protocol": "UDP", "port": 3478},
                {"protocol": "TCP", "port": 3478},
                {"protocol": "TLS", "port": 443, "certificateSecretRef": {"name": "turn-tls"}},
            ],
        }
    )
    assert turn_urls("192.0.2.1", spec, 6) == (
        "turn:192.0.2.1:3480?transport=udp",
        "turn:192.0.2.1:3480?transport=tcp",
        "turns:192.0.2.1:445?transport=tcp",
    )
    assert turn_urls("2001:db8::1", spec, 1)[2] == "turns:[2001:db8::1]:444?transport=tcp"


def test_nodes_that_are_lost() -> None:
    cordoned = node_of({"metadata": {"name": "b"}, "spec": {"unschedulable": True}})
    nodes = {"node-a": node(), "b": cordoned}
    assert unavailable(nodes, frozenset({"node-a", "b", "c"})) == {"b", "c"}
    assert node().zone == "eu-1"


def balancer(*ingress: dict[str, str], owner: str = "u1") -> dict[str, Any]:
    return {
        "metadata": {"ownerReferences": [{"kind": "Pod", "uid": owner}]},
        "status": {"loadBalancer": {"ingress": list(ingress)} if ingress else {}},
    }


@pytest.mark.parametrize(
    ("ingress", "address"),
    [
        ({"ip": "203.0.113.9"}, "203.0.113.9"),
        ({"hostname": "a.elb.example.org"}, "a.elb.example.org"),
        ({"ip": "203.0.113.9", "hostname": "a.elb.example.org"}, "203.0.113.9"),
    ],
)
def test_of_a_load_balancer(ingress: dict[str, str], address: str) -> None:
    assert balancer_address(balancer(ingress), "relays-relay-0", "u1") == address


@pytest.mark.parametrize(
    ("service", "why"),
    [
        (None, "there is no Service relays-relay-0"),
        (balancer({"ip": "203.0.113.9"}, owner="u0"), "there is no Service relays-relay-0"),
        (balancer(), "no address from a load balancer yet"),
        (balancer({"ip": "0.0.0.0"}), "no address from a load balancer yet"),
    ],
)
def test_of_no_load_balancer_yet(service: dict[str, Any] | None, why: str) -> None:
    found = balancer_address(service, "relays-relay-0", "u1")
    assert isinstance(found, UnknownAddress)
    assert why in found.why


def test_as_a_stun_server_sees_it() -> None:
    told = {"public": {"address": "203.0.113.9", "source": "stun:s:3478", "problem": ""}}
    assert seen_address(told, "s:3478") == "203.0.113.9"
    for status, why in (
        (None, "no answer"),
        ({}, "STUN server s:3478: no answer yet"),
        ({"public": {"address": "", "problem": "Name or service not known"}}, "Name or service"),
    ):
        found = seen_address(status, "s:3478")
        assert isinstance(found, UnknownAddress)
        assert why in found.why

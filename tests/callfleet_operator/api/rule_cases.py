"""For each CEL rule of the CRDs an object that it refuses and one beside it that it admits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RuleCase:
    """`refused` and `admitted` are specs; `message` is part of what the user reads."""

    kind: str
    subject: str
    refused: dict[str, Any]
    admitted: dict[str, Any]
    message: str
    field: str
    """Path that the API server names."""


POSTGRESQL = {"store": {"type": "PostgreSQL", "postgresql": {"uriSecretRef": {"name": "calls-db"}}}}


def _address(source: str, value: str | None = None) -> dict[str, Any]:
    address = {"source": source} | ({} if value is None else {"value": value})
    return {"exposure": {"address": address}}


def _listeners(*listeners: tuple[str, int], relays_per_node: int = 1) -> dict[str, Any]:
    return {
        "exposure": {"relaysPerNode": relays_per_node},
        "listeners": [
            {"protocol": protocol, "port": port}
            | ({"certificateSecretRef": {"name": "turn-tls"}} if protocol == "TLS" else {})
            for protocol, port in listeners
        ],
    }


def _tls(port: int, secret: str) -> dict[str, Any]:
    return {"protocol": "TLS", "port": port, "certificateSecretRef": {"name": secret}}


def _of_both_kinds(kind: str, more: dict[str, Any]) -> list[RuleCase]:
    """Rules that CallCluster and TurnPool share; `more` is what the kind needs for several pods."""
    prefix = {"CallCluster": "CALLFLEET_ENGINE", "TurnPool": "CALLFLEET_RELAY"}[kind]
    cases = [
        (
            "minimum above maximum",
            {"scaling": {"minReplicas": 5, "maxReplicas": 4}} | more,
            {"scaling": {"minReplicas": 4, "maxReplicas": 4}} | more,
            "lower minReplicas or raise maxReplicas",
            "spec.scaling.minReplicas",
        ),
        (
            "total below maximum",
            {"scaling": {"maxReplicas": 4, "maxTotalReplicas": 3}} | more,
            {"scaling": {"maxReplicas": 4, "maxTotalReplicas": 4}} | more,
            "maxTotalReplicas counts draining and surge pods too",
            "spec.scaling.maxTotalReplicas",
        ),
        (
            "source Static without value",
            _address("Static"),
            _address("Static", "203.0.113.7"),
            "source Static needs an IP address in address.value",
            "spec.exposure.address.value",
        ),
        (
            "source STUN without value",
            _address("STUN", ""),
            _address("STUN", "stun.example.org:3478"),
            "source STUN needs HOST:PORT",
            "spec.exposure.address.value",
        ),
        (
            "source Auto with value",
            _address("Auto", "203.0.113.7"),
            _address("Auto", ""),
            "only the sources Static and STUN take address.value: remove it",
            "spec.exposure.address.value",
        ),
        (
            "a name as static address",
            _address("Static", "relay.example.org"),
            _address("Static", "2001:db8::7"),
            "with source Static the value is an IP address",
            "spec.exposure.address.value",
        ),
        (
            "STUN server without port",
            _address("STUN", "stun.example.org"),
            _address("STUN", "192.0.2.1:3478"),
            "with source STUN the value is HOST:PORT",
            "spec.exposure.address.value",
        ),
        (
            "a label of the operator's",
            {"podMetadata": {"labels": {"callfleet.dev/sealed": "true"}}},
            {"podMetadata": {"labels": {"example.org/sealed": "true"}}},
            "use a prefix of your own",
            "spec.podMetadata.labels",
        ),
        (
            "an annotation with an impossible key",
            {"podMetadata": {"annotations": {"two words": "x"}}},
            {"podMetadata": {"annotations": {"example.org/two-words": "x"}}},
            "each key is a name of at most 63",
            "spec.podMetadata.annotations",
        ),
        (
            "a variable that the operator sets",
            {"env": [{"name": f"{prefix}_LISTEN", "value": "0.0.0.0:1"}]},
            {"env": [{"name": f"{prefix}_LOG_LEVEL", "value": "debug"}]},
            "env must not name a variable that the operator sets",
            "spec.env",
        ),
    ]
    return [
        RuleCase(kind, subject, refused, admitted, message, field)
        for subject, refused, admitted, message, field in cases
    ]


RULE_CASES = [
    *_of_both_kinds("CallCluster", POSTGRESQL),
    *_of_both_kinds("TurnPool", {}),
    RuleCase(
        "CallCluster",
        "new-call limit at the target",
        {"scaling": {"targetUtilizationPercent": 85}},
        {"scaling": {"targetUtilizationPercent": 84}},
        "newCallLimitPercent must be above targetUtilizationPercent",
        "spec.scaling.newCallLimitPercent",
    ),
    RuleCase(
        "CallCluster",
        "several pods on SQLite",
        {"scaling": {"maxReplicas": 2}},
        {"scaling": {"maxReplicas": 2}} | POSTGRESQL,
        "a SQLite store serves one pod",
        "spec.scaling.maxReplicas",
    ),
    RuleCase(
        "CallCluster",
        "surge on SQLite",
        {"scaling": {"maxTotalReplicas": 2}},
        {"scaling": {"maxTotalReplicas": 1}},
        "a SQLite store serves one pod",
        "spec.scaling.maxReplicas",
    ),
    RuleCase(
        "CallCluster",
        "PostgreSQL without a database",
        {"store": {"type": "PostgreSQL"}},
        POSTGRESQL,
        "type PostgreSQL needs a database: set store.postgresql.uriSecretRef.name",
        "spec.store.postgresql",
    ),
    RuleCase(
        "CallCluster",
        "SQLite with a database",
        {"store": {"type": "SQLite"} | {"postgresql": POSTGRESQL["store"]["postgresql"]}},
        {"store": {"type": "SQLite"}},
        "type SQLite has no server: remove store.postgresql",
        "spec.store.postgresql",
    ),
    RuleCase(
        "CallCluster",
        "range of ports upside down",
        {"exposure": {"hostPortRange": {"min": 30000, "max": 29999}}},
        {"exposure": {"hostPortRange": {"min": 30000, "max": 30000}}},
        "hostPortRange.min must not be above hostPortRange.max",
        "spec.exposure.hostPortRange.min",
    ),
    RuleCase(
        "CallCluster",
        "fewer ports than pods",
        {
            "exposure": {"type": "HostPort", "hostPortRange": {"min": 30000, "max": 30004}},
            "scaling": {"maxReplicas": 4},
        }
        | POSTGRESQL,
        {
            "exposure": {"type": "HostPort", "hostPortRange": {"min": 30000, "max": 30005}},
            "scaling": {"maxReplicas": 4},
        }
        | POSTGRESQL,
        "exposure.hostPortRange needs a port for each pod",
        "spec.exposure.hostPortRange",
    ),
    RuleCase(
        "CallCluster",
        "a Service annotation with an impossible key",
        {"signalling": {"annotations": {"/x": "y"}}},
        {"signalling": {"annotations": {"example.org/x": "y"}}},
        "each key is a name of at most 63",
        "spec.signalling.annotations",
    ),
    RuleCase(
        "TurnPool",
        "a label of Kubernetes' recommended ones",
        {"podMetadata": {"labels": {"app.kubernetes.io/name": "mine"}}},
        {"podMetadata": {"labels": {"team": "mine"}}},
        "use a prefix of your own",
        "spec.podMetadata.labels",
    ),
    RuleCase(
        "TurnPool",
        "several relays on the network of one node",
        {"exposure": {"type": "HostNetwork", "relaysPerNode": 2}},
        {"exposure": {"type": "HostPort", "relaysPerNode": 2}},
        "relaysPerNode belongs to HostPort",
        "spec.exposure.relaysPerNode",
    ),
    RuleCase(
        "TurnPool",
        "an address beside that of the load balancer",
        {"exposure": {"type": "LoadBalancer", "address": {"source": "NodeInternalIP"}}},
        {"exposure": {"type": "LoadBalancer", "address": {"source": "Auto"}}},
        "with LoadBalancer the address is the load balancer's",
        "spec.exposure.address",
    ),
    RuleCase(
        "TurnPool",
        "a low port on the network of the node",
        {"exposure": {"type": "HostNetwork"}, "listeners": [{"protocol": "UDP", "port": 443}]},
        {"exposure": {"type": "HostPort"}, "listeners": [{"protocol": "UDP", "port": 443}]},
        "cannot listen below port 1024",
        "spec.listeners",
    ),
    RuleCase(
        "TurnPool",
        "listeners over UDP too close",
        _listeners(("UDP", 3478), ("UDP", 3481), relays_per_node=4),
        _listeners(("UDP", 3478), ("UDP", 3482), relays_per_node=4),
        "listeners that share UDP or TCP (TLS is TCP) must stand at least that far apart",
        "spec.listeners",
    ),
    RuleCase(
        "TurnPool",
        "TCP and TLS on one port",
        _listeners(("TCP", 443), ("TLS", 443)),
        _listeners(("UDP", 443), ("TLS", 443)),
        "listeners that share UDP or TCP (TLS is TCP) must stand at least that far apart",
        "spec.listeners",
    ),
    RuleCase(
        "TurnPool",
        "ports past the last one",
        _listeners(("UDP", 65533), relays_per_node=4),
        _listeners(("UDP", 65532), relays_per_node=4),
        "65535 is the last: choose a lower port",
        "spec.listeners",
    ),
    RuleCase(
        "TurnPool",
        "TLS without a certificate",
        {"listeners": [{"protocol": "TLS", "port": 443}]},
        _listeners(("TLS", 443)),
        "protocol TLS needs certificateSecretRef",
        "spec.listeners[0].certificateSecretRef",
    ),
    RuleCase(
        "TurnPool",
        "UDP with a certificate",
        {
            "listeners": [
                {"protocol": "UDP", "port": 3478, "certificateSecretRef": {"name": "turn-tls"}}
            ]
        },
        {"listeners": [{"protocol": "UDP", "port": 3478, "certificateSecretRef": {"name": ""}}]},
        "only protocol TLS takes a certificate",
        "spec.listeners[0].certificateSecretRef",
    ),
    RuleCase(
        "TurnPool",
        "two certificates",
        {"listeners": [_tls(443, "turn-tls"), _tls(5349, "other-tls")]},
        {"listeners": [_tls(443, "turn-tls"), _tls(5349, "turn-tls")]},
        "name the same Secret in all listeners with protocol TLS",
        "spec.listeners",
    ),
    RuleCase(
        "TurnPool",
        "a port of the pod's own",
        _listeners(("TCP", 9090)),
        _listeners(("UDP", 9090)),
        "9090 and 9091 over TCP are the pod's own",
        "spec.listeners[0].port",
    ),
    RuleCase(
        "TurnPool",
        "policy CIDRs without any",
        {"peers": {"policy": "CIDRs"}},
        {"peers": {"policy": "CIDRs", "cidrs": ["10.0.0.0/8"]}},
        "policy CIDRs needs at least one address range",
        "spec.peers.cidrs",
    ),
    RuleCase(
        "TurnPool",
        "policy EnginesOnly with address ranges",
        {"peers": {"cidrs": ["10.0.0.0/8"]}},
        {"peers": {"cidrs": []}},
        "policy EnginesOnly takes no address ranges",
        "spec.peers.cidrs",
    ),
    RuleCase(
        "TurnPool",
        "an address as range",
        {"peers": {"policy": "CIDRs", "cidrs": ["10.0.0.1"]}},
        {"peers": {"policy": "CIDRs", "cidrs": ["10.0.0.1/32"]}},
        "write an address range such as 10.0.0.0/8",
        "spec.peers.cidrs[0]",
    ),
    RuleCase(
        "TurnPool",
        "from Selector without a selector",
        {"allowedNamespaces": {"from": "Selector"}},
        {"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}},
        "from: Selector needs the labels of the namespaces",
        "spec.allowedNamespaces.selector",
    ),
    RuleCase(
        "TurnPool",
        "from All with a selector",
        {"allowedNamespaces": {"from": "All", "selector": {"matchLabels": {"a": "b"}}}},
        {"allowedNamespaces": {"from": "All"}},
        "only from: Selector takes a selector",
        "spec.allowedNamespaces.selector",
    ),
]

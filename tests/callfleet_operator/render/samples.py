"""A CallCluster and a TurnPool of defaults, and one of each with everything set."""

from __future__ import annotations

from typing import Any

from callfleet_operator.api.v1alpha1 import API_VERSION, CallCluster, TurnPool
from callfleet_operator.render.fleet import Installation

INSTALLATION = Installation(
    engine_image="ghcr.io/callfleet/engine:0.1.0",
    relay_image="ghcr.io/callfleet/relay:0.1.0",
    operator_namespace="callfleet-system",
)
ADMIN_KEYS = '{"keys": []}'
MASTER = b"correct-horse-battery-staple-0123456789"
UID = "6f5c9a52-8f0e-4c39-9a1c-1d2a5b7e9f00"

_SHARED: dict[str, Any] = {
    "image": "registry.example.org:5000/media/pod:1.2.3@sha256:" + 64 * "0",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    "scheduling": {
        "nodeSelector": {"example.org/media": "true"},
        "tolerations": [{"key": "example.org/media", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/arch",
                                    "operator": "In",
                                    "values": ["amd64"],
                                }
                            ]
                        }
                    ]
                }
            }
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 2,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "full"}},
            }
        ],
        "priorityClassName": "media",
    },
    "podMetadata": {
        "labels": {"example.org/team": "calls"},
        "annotations": {"example.org/owner": "on-call@example.org"},
    },
    "env": [{"name": "TZ", "value": "UTC"}],
    "drain": {"terminationGracePeriodSeconds": 7200},
}


def call_cluster(name: str = "calls", **spec: Any) -> CallCluster:  # noqa: ANN401  # API fields
    """A CallCluster in the namespace media, with the given fields of its spec."""
    return CallCluster.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "CallCluster",
            "metadata": {"name": name, "namespace": "media", "uid": UID},
            "spec": {"turn": {"poolRefs": [{"name": "relays"}]}} | spec,
        }
    )


def turn_pool(name: str = "relays", **spec: Any) -> TurnPool:  # noqa: ANN401  # API fields
    """A TurnPool in the namespace media, with the given fields of its spec."""
    return TurnPool.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "TurnPool",
            "metadata": {"name": name, "namespace": "media", "uid": UID},
            "spec": spec,
        }
    )


def full_call_cluster() -> CallCluster:
    """A CallCluster with everything set that shows in its objects."""
    return call_cluster(
        "full",
        **_SHARED,
        scaling={"minReplicas": 2, "maxReplicas": 8},
        capacity={"participantsPerPod": 300},
        signalling={
            "serviceType": "LoadBalancer",
            "annotations": {"example.org/pool": "public"},
            "tlsSecretRef": {"name": "calls-tls"},
            "allowedOrigins": ["https://calls.example.org", "https://www.example.org"],
        },
        turn={
            "poolRefs": [{"name": "relays"}, {"name": "shared", "namespace": "turn"}],
            "credentialLifetimeSeconds": 1800,
        },
        store={
            "type": "PostgreSQL",
            "postgresql": {
                "uriSecretRef": {"name": "calls-db", "key": "dsn"},
                "maxConnectionsPerPod": 20,
            },
            "retentionDays": 90,
        },
        auth={"mode": "Open"},
        quality={"presetsConfigMapRef": {"name": "frugal"}},
    )


def full_turn_pool() -> TurnPool:
    """A TurnPool with everything set that shows in its objects."""
    return turn_pool(
        "full",
        **_SHARED,
        exposure={"relaysPerNode": 4, "address": {"source": "NodeInternalIP"}},
        listeners=[
            {"protocol": "UDP", "port": 3478},
            {"protocol": "UDP", "port": 443},
            {"protocol": "TLS", "port": 443, "certificateSecretRef": {"name": "turn-tls"}},
        ],
        realm="turn.example.org",
        peers={"policy": "CIDRs", "cidrs": ["10.20.0.0/16", "2001:db8::/32"]},
        credentials={"secretRef": {"name": "turn-masters"}, "maxLifetimeSeconds": 7200},
        quota={
            "allocationsPerUser": 4,
            "allocationsPerPod": 500,
            "bitsPerSecondPerAllocation": 5_000_000,
        },
        region="eu-central",
        allowedNamespaces={
            "from": "Selector",
            "selector": {"matchLabels": {"example.org/calls": "true"}},
        },
    )

"""What stands on the API server: CallClusters with their pods, and the kubelet's part of them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.gateway.resources import (
    CALL_CLUSTERS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet, Installation
from callfleet_operator.render.objects import engine_objects
from callfleet_operator.render.pod import ordinal_pod
from tests.scale.api import MERGE, Api, Body, each

PODS_EACH = 10
CAPACITY = 100
PARTICIPANTS = 55
"""On each pod. 10 pods at 55 of 100 want 8 at the target of 70 %: the minimum decides."""
CLUSTERS_A_NAMESPACE = 100
PODS_A_NODE = 100
NOT_STARTED = "labelSelector=callfleet.dev/cluster&fieldSelector=status.podIP="
"""Query for pods that no kubelet has looked after."""
INSTALLATION = Installation("example.org/engine:1", "example.org/relay:1", "callfleet-system")


@dataclass(frozen=True)
class Size:
    """How many CallClusters there are."""

    clusters: int

    @property
    def pods(self) -> int:
        return self.clusters * PODS_EACH

    @property
    def namespaces(self) -> list[str]:
        count = -(-self.clusters // CLUSTERS_A_NAMESPACE)
        return [f"calls-{number}" for number in range(count)]

    @property
    def nodes(self) -> list[str]:
        return [f"node-{number}" for number in range(-(-self.pods // PODS_A_NODE))]

    def cluster(self, number: int) -> tuple[str, str]:
        """Namespace and name."""
        return f"calls-{number // CLUSTERS_A_NAMESPACE}", f"cluster-{number}"


async def furnish(api: Api, size: Size) -> None:
    """Namespaces with their Secrets, and nodes: what was there before Callfleet."""

    async def namespace(name: str) -> None:
        await api.create(NAMESPACES, _named("v1", "Namespace", name))
        for secret, key, value in (
            ("join-keys", "keys.json", '{"keys": []}'),
            ("calls-db", "uri", "postgresql://calls"),
        ):
            body = _named("v1", "Secret", secret, name)
            body["data"] = {key: base64.b64encode(value.encode()).decode()}
            await api.create(SECRETS, body)

    await api.create(NAMESPACES, _named("v1", "Namespace", INSTALLATION.operator_namespace))
    await each(size.namespaces, namespace)

    async def node(name: str) -> None:
        await api.create(NODES, _named("v1", "Node", name))

    await each(size.nodes, node)


async def make_fleets(api: Api, size: Size, numbers: Iterable[int], address: str) -> list[Body]:
    """CallClusters with pods as an operator has left them, ready at an address; returns the pods.

    All else is for the operator to make. To let it make the pods too would take several times as
    long, most of it the API server's.
    """
    made: list[Body] = []

    async def make(number: int) -> None:
        namespace, name = size.cluster(number)
        body = _named("callfleet.dev/v1alpha1", "CallCluster", name, namespace)
        body["spec"] = {
            "capacity": {"participantsPerPod": CAPACITY},
            "scaling": {
                "minReplicas": PODS_EACH,
                "maxReplicas": 2 * PODS_EACH,
                "scaleOut": {
                    "stabilizationWindowSeconds": 0,
                    "maxPods": PODS_EACH,
                    "periodSeconds": 1,
                },
            },
            "store": {"type": "PostgreSQL", "postgresql": {"uriSecretRef": {"name": "calls-db"}}},
        }
        cluster = CallCluster.model_validate(await api.create(CALL_CLUSTERS, body))
        await api.create(SERVICE_ACCOUNTS, _service_account(cluster))
        for pod in _pods(cluster):
            pod["spec"]["nodeName"] = size.nodes[len(made) % len(size.nodes)]
            live = await api.create(PODS, pod)
            made.append(live)
            await _run(api, live, address)

    await each(numbers, make)
    return made


def _service_account(cluster: CallCluster) -> Body:
    """Without it the API server takes no pod."""
    bodies = engine_objects(cluster, INSTALLATION, admin_keys="", masters={})
    return next(body for body in bodies if body["kind"] == "ServiceAccount")


def _pods(cluster: CallCluster) -> Iterator[Body]:
    fleet = Fleet.of(cluster, INSTALLATION)
    template = engine_template(fleet, cluster.spec)
    for ordinal in range(PODS_EACH):
        yield ordinal_pod(fleet, template, ordinal)


async def play_kubelet(api: Api, size: Size, pods: Iterable[Body], address: str) -> None:
    """Bind pods and report them as running and ready."""
    nodes = cycle(size.nodes)

    async def run(pod: Body) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if not pod["spec"].get("nodeName"):
            binding = _named("v1", "Binding", name)
            binding["target"] = {"apiVersion": "v1", "kind": "Node", "name": next(nodes)}
            await api.request("POST", PODS.path(namespace, name, "binding"), binding)
        await _run(api, pod, address)

    await each(pods, run)


async def _run(api: Api, pod: Body, address: str) -> None:
    path = PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"], "status")
    await api.request("PATCH", path, {"status": _running(address)}, MERGE)


def metrics_of(pod: Body) -> str:
    """What Prometheus scrapes of an engine, with a load that does not change."""
    metadata = pod["metadata"]
    labels = (
        f'namespace="{metadata["namespace"]}",pod="{metadata["name"]}",'
        f'pod_uid="{metadata["uid"]}",callfleet_cluster='
        f'"{metadata["labels"]["callfleet.dev/cluster"]}"'
    )
    figures = {
        "participants": PARTICIPANTS,
        "pending_joins": 0,
        "calls": 11,
        "calls_started_total": 400,
        "call_duration_seconds_sum": 240000,
        "call_duration_seconds_count": 389,
        "call_participants_sum": 1945,
        "call_participants_count": 389,
    }
    lines = [f"callfleet_engine_{name}{{{labels}}} {value}\n" for name, value in figures.items()]
    lines += [
        f'callfleet_engine_stress_ratio{{{labels},resource="{resource}"}} 0.2\n'
        for resource in ("packets", "cpu", "loop", "egress")
    ]
    return "".join(lines)


def _running(address: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ],
        "containerStatuses": [
            {
                "name": "engine",
                "image": "example.org/engine:1",
                "imageID": "example.org/engine@sha256:0",
                "containerID": "containerd://0",
                "state": {"running": {"startedAt": now}},
                "started": True,
                "ready": True,
                "restartCount": 0,
            }
        ],
    }


def _named(version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}

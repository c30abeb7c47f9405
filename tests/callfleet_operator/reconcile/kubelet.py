"""A stand-in for the kubelet, and for the scheduler: the pods of one namespace on one node."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.resources import PODS, ResourceType
from tests.callfleet_operator.gateway.pod_server import PodServer

ADMIN_PORT = 9091


@dataclass
class Kubelet:
    """Runs a `PodServer` for each pod, on an address of its own."""

    people: Kube
    namespace: str
    node: str
    jwk_set: dict[str, object]
    """Whom its pods obey."""
    pods: dict[str, PodServer] = field(default_factory=dict)
    """By uid."""
    ended: dict[str, PodServer] = field(default_factory=dict)
    """By uid, those that are no more."""
    bad_images: frozenset[str] = frozenset()
    """Images that cannot be pulled."""
    net: int = field(default_factory=lambda: secrets.randbelow(200 << 8) + (32 << 8))
    """The middle of its pods' addresses: other worlds may have pods at the same time."""
    serial: int = 0

    async def sync(self) -> None:
        """Bind and run new pods, end deleted ones."""
        live = await self.people.list_all(PODS, self.namespace)
        for pod in live:
            metadata = pod["metadata"]
            if "deletionTimestamp" in metadata:
                await self.end(metadata["name"], metadata["uid"])
            elif not pod.get("status", {}).get("podIP"):
                await self._start(pod)
        present = {pod["metadata"]["uid"] for pod in live}
        for uid in [uid for uid in self.pods if uid not in present]:
            await self._stop(uid)

    async def end(self, name: str, uid: str) -> None:
        """The process of a pod ends, and the pod is gone."""
        await self._stop(uid)
        await self.people.client.request(
            "delete",
            PODS.path(self.namespace, name),
            body={"gracePeriodSeconds": 0, "preconditions": {"uid": uid}},
            serialize=False,
        )

    async def stop(self) -> None:
        """Stop all pods; nobody is told."""
        for uid in list(self.pods):
            await self._stop(uid)

    async def _start(self, pod: Body) -> None:
        if not pod["spec"].get("nodeName"):
            await self._bind(pod["metadata"]["name"])
        container = pod["spec"]["containers"][0]
        if container["image"] not in self.bad_images:
            await self._run(pod)
            return
        waiting = {"reason": "ImagePullBackOff", "message": f"cannot pull {container['image']}"}
        status = {"state": {"waiting": waiting}, "ready": False, "restartCount": 0}
        named = {"name": container["name"], "image": container["image"], "imageID": ""}
        await self._report(
            pod["metadata"]["name"], {"phase": "Pending", "containerStatuses": [named | status]}
        )

    async def _bind(self, name: str) -> None:
        await self.people.client.request(
            "post",
            PODS.path(self.namespace, name, "binding"),
            body={
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": self.node},
            },
            serialize=False,
        )

    async def _run(self, pod: Body) -> None:
        metadata = pod["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        self.serial += 1
        net = self.net + self.serial // 250
        address = f"127.{net >> 8}.{net & 255}.{self.serial % 250 + 1}"
        component = metadata["labels"]["app.kubernetes.io/component"]
        server = PodServer(name, uid, component, self.jwk_set)
        await server.start(address, ADMIN_PORT)
        self.pods[uid] = server
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        running = {"state": {"running": {"startedAt": now}}, "ready": True, "restartCount": 0}
        await self._report(
            name,
            {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
                "containerStatuses": [{"name": component, "image": "i", "imageID": "i", **running}],
            },
        )

    async def _report(self, name: str, status: Body) -> None:
        await merge(self.people, PODS, self.namespace, name, {"status": status}, part="status")

    async def _stop(self, uid: str) -> None:
        server = self.pods.pop(uid, None)
        if server is not None:
            await server.stop()
            self.ended[uid] = server


async def merge(
    kube: Kube, resource: ResourceType, namespace: str, name: str, patch: Body, *, part: str = ""
) -> None:
    """A merge patch by somebody who is not the operator."""
    await kube.client.request(
        "patch",
        resource.path(namespace, name, part),
        body=patch,
        content_type="application/merge-patch+json",
        query_params=[("fieldManager", "people")],
        serialize=False,
    )

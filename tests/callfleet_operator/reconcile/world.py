"""A cluster for rounds: a real API server and a real Prometheus, with stand-ins for what is not
there: the kubelet, and the pods' admin ports and metrics."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from callfleet_operator.gateway.admin_key import AdminKey
from callfleet_operator.gateway.gate import always_open
from callfleet_operator.gateway.kube import Body, Kube, connect
from callfleet_operator.gateway.pod_admin import PodAdmin
from callfleet_operator.gateway.prometheus import Prometheus
from callfleet_operator.gateway.resources import (
    CALL_CLUSTERS,
    CONFIG_MAPS,
    PODS,
    SECRETS,
    TURN_POOLS,
    ResourceType,
)
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.observe.queries import scope_of
from callfleet_operator.reconcile.dispatch import reconcile
from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.history_source import HistorySource
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.metrics_source import MetricsSource
from callfleet_operator.reconcile.nodes import NodeDirectory
from callfleet_operator.reconcile.pace import Pace
from callfleet_operator.reconcile.pod_directory import PodDirectory
from callfleet_operator.reconcile.pod_monitors import PodMonitorKind
from callfleet_operator.reconcile.resource_directory import ResourceDirectory
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.shared_objects import SharedObjects
from callfleet_operator.render.fleet import Component, Installation
from callfleet_operator.tracing import NoTracer
from tests.callfleet_operator.gateway.pod_server import PodServer
from tests.callfleet_operator.gateway.prometheus_server import Exporter
from tests.cluster.api_server import ApiServer
from tests.cluster.audit import AuditEvent

OPERATOR = "callfleet-operator-test"
ADMIN_PORT = 9091
MASTER = "m" * 32
KINDS = {Kind.CALL_CLUSTER: CALL_CLUSTERS, Kind.TURN_POOL: TURN_POOLS}


class KilledError(BaseException):
    """The operator's process is gone: nothing may catch this."""


@dataclass
class World:
    """One namespace of it."""

    api: ApiServer
    namespace: str
    node: str
    kube: Kube
    """The operator's."""
    people: Kube
    """Everybody else's: users, kubelet, controllers."""
    session: aiohttp.ClientSession
    """The operator's, to the pods."""
    services: Services
    key: AdminKey
    exporter: Exporter | None
    pods: dict[str, PodServer] = field(default_factory=dict)
    """By uid."""
    ended: dict[str, PodServer] = field(default_factory=dict)
    """By uid, those that are no more."""
    bad_images: frozenset[str] = frozenset()
    """Images that cannot be pulled."""
    lists: list[bytes] = field(default_factory=list)
    """The operator's lists of pods, as the API server has answered them."""
    extra: str = ""
    """More lines for Prometheus."""
    later: timedelta = timedelta()
    """By how much the operator's clock is ahead."""
    net: int = field(default_factory=lambda: secrets.randbelow(200 << 8) + (32 << 8))
    """The middle of its pods' addresses: other worlds may have pods at the same time."""
    serial: int = 0

    # People

    async def make(self, kind: Kind, name: str, spec: dict[str, Any], **metadata: Any) -> Key:  # noqa: ANN401
        """Create a custom resource."""
        await self.people.create(
            {
                "apiVersion": "callfleet.dev/v1alpha1",
                "kind": str(kind),
                "metadata": {"name": name, "namespace": self.namespace, **metadata},
                "spec": spec,
            }
        )
        return Key(kind, self.namespace, name)

    async def secret(self, name: str, **data: str) -> None:
        await self.people.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": self.namespace},
                "data": {
                    key.replace("_", "."): base64.b64encode(value.encode()).decode()
                    for key, value in data.items()
                },
            }
        )

    async def change(self, resource: ResourceType, name: str, patch: Body, part: str = "") -> None:
        """A merge patch by somebody who is not the operator."""
        namespace = self.namespace if resource.namespaced else ""
        await self.people.client.request(
            "patch",
            resource.path(namespace, name, part),
            body=patch,
            content_type="application/merge-patch+json",
            serialize=False,
        )

    async def change_pod(self, name: str, patch: Body) -> None:
        await self.change(PODS, name, patch)

    async def change_resource(self, key: Key, patch: Body) -> None:
        await self.change(KINDS[key.kind], key.name, patch)

    async def status(self, key: Key) -> dict[str, Any]:
        live = await self.people.get(KINDS[key.kind], key.namespace, key.name)
        assert live is not None
        status: dict[str, Any] = live.get("status", {})
        return status

    async def condition(self, key: Key, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        for one in (await self.status(key)).get("conditions", []):
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        raise AssertionError(f"{key} has no condition {kind}")

    # The kubelet

    async def kubelet(self) -> None:
        """Bind and run new pods, end deleted ones."""
        live = await self.list_pods()
        for pod in live:
            metadata = pod["metadata"]
            if "deletionTimestamp" in metadata:
                await self._end(metadata["name"], metadata["uid"])
            elif not pod.get("status", {}).get("podIP"):
                await self._start(pod)
        present = {pod["metadata"]["uid"] for pod in live}
        for uid in [uid for uid in self.pods if uid not in present]:
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
        await self.change(
            PODS,
            pod["metadata"]["name"],
            {"status": {"phase": "Pending", "containerStatuses": [named | status]}},
            "status",
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
        server = PodServer(name, uid, component, self.key.jwk_set())
        await server.start(address, ADMIN_PORT)
        self.pods[uid] = server
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        running = {"state": {"running": {"startedAt": now}}, "ready": True, "restartCount": 0}
        await self.change(
            PODS,
            name,
            {
                "status": {
                    "phase": "Running",
                    "podIP": address,
                    "podIPs": [{"ip": address}],
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
                    "containerStatuses": [
                        {"name": component, "image": "i", "imageID": "i", **running}
                    ],
                }
            },
            "status",
        )

    async def _stop(self, uid: str) -> None:
        server = self.pods.pop(uid, None)
        if server is not None:
            await server.stop()
            self.ended[uid] = server

    async def _end(self, name: str, uid: str) -> None:
        await self._stop(uid)
        await self.people.client.request(
            "delete",
            PODS.path(self.namespace, name),
            body={"gracePeriodSeconds": 0, "preconditions": {"uid": uid}},
            serialize=False,
        )

    async def list_pods(self) -> list[Body]:
        return await self.people.list_all(PODS, self.namespace)

    def of(self, name: str) -> PodServer:
        """The running pod of a name."""
        return next(pod for pod in self.pods.values() if pod.name == name)

    # Prometheus

    async def scrape(self) -> None:
        """Let Prometheus see all pods as they are now."""
        assert self.exporter is not None
        page = "".join(map(self._metrics, self.pods.values())) + self.extra
        await asyncio.to_thread(self.exporter.show, self.namespace, page)

    def _metrics(self, pod: PodServer) -> str:
        fleet = pod.name.rsplit("-", 2)[0]
        label = "callfleet_pool" if pod.component == "relay" else "callfleet_cluster"
        labels = (
            f'namespace="{self.namespace}",pod="{pod.name}",pod_uid="{pod.uid}",{label}="{fleet}"'
        )
        prefix = f"callfleet_{pod.component}"
        lines = [f'{prefix}_stress_ratio{{{labels},resource="cpu"}} 0.01']
        if pod.component == "relay":
            lines.append(f"{prefix}_allocations{{{labels}}} {pod.used}")
        else:
            lines += [
                f"{prefix}_participants{{{labels}}} {pod.used}",
                f"{prefix}_pending_joins{{{labels}}} 0",
                f"{prefix}_calls{{{labels}}} {pod.calls}",
            ]
        return "".join(f"{line}\n" for line in lines)

    # The operator

    async def round(self, key: Key) -> None:
        await reconcile(self.services, key)

    async def settle(self, *keys: Key, rounds: int = 4) -> None:
        """Rounds with the kubelet at work in between."""
        for _ in range(rounds):
            for key in keys:
                await self.round(key)
            await self.kubelet()
            if self.exporter is not None:
                await self.scrape()
        for key in keys:
            await self.round(key)

    async def restart(self) -> None:
        """The operator's process ends and another one begins: only memory is lost."""
        self.services.memories.clear()

    async def kill_after(self, actions: int, *keys: Key, done: bool = True) -> bool:
        """Rounds of an operator that dies with its next action after so many on the API server or
        on a pod; returns whether it did. `done`: that action has its effect, unknown to it."""
        life = _Life(actions, done=done)
        kube_request, pod_request = self.kube.client.request, self.session.request

        async def request_kube(method: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            if method == "get":
                life.require()
                return await kube_request(method, *arguments, **named)
            last = life.act()
            answer = await kube_request(method, *arguments, **named)
            if last:
                raise KilledError
            return answer

        @asynccontextmanager
        async def request_pod(*arguments: Any, **named: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            last = life.act()
            async with pod_request(*arguments, **named) as response:
                if last:
                    raise KilledError
                yield response

        self.kube.client.request = request_kube
        self.session.request = request_pod  # type: ignore[assignment,method-assign] # dies in it
        try:
            for key in keys:
                await self.round(key)
        except KilledError:
            return True
        finally:
            self.kube.client.request = kube_request
            self.session.request = pod_request  # type: ignore[method-assign]
            await self.restart()
        return False

    async def stale_round(self, *keys: Key, age: int = 0) -> None:
        """Rounds that are shown a list of pods of before: 0 is that of the latest round."""
        kube_request = self.kube.client.request
        lists = self.lists[: len(self.lists) - age]

        async def request_kube(method: str, path: str, **named: Any) -> Any:  # noqa: ANN401
            if lists and method == "get" and path.endswith("/pods"):
                return _Answer(lists[-1])
            return await kube_request(method, path, **named)

        self.kube.client.request = request_kube
        try:
            for key in keys:
                with suppress(RoundError):
                    await self.round(key)
        finally:
            self.kube.client.request = kube_request

    async def recorded_round(self, *keys: Key) -> None:
        """Rounds whose lists of pods are kept for `stale_round`."""
        kube_request = self.kube.client.request

        async def request_kube(method: str, path: str, **named: Any) -> Any:  # noqa: ANN401
            answer = await kube_request(method, path, **named)
            if method == "get" and path.endswith("/pods"):
                self.lists.append(await answer.read())
            return answer

        self.kube.client.request = request_kube
        try:
            for key in keys:
                await self.round(key)
        finally:
            self.kube.client.request = kube_request

    async def mark(self) -> int:
        return await asyncio.to_thread(self.api.audit.mark)

    async def writes(self, since: int, *resources: str) -> list[AuditEvent]:
        """What the operator wrote in this namespace since a mark."""
        events = await asyncio.to_thread(
            self.api.audit.writes, since, user=OPERATOR, resources=resources
        )
        return [event for event in events if event.namespace == self.namespace]


@dataclass
class _Life:
    """Of an operator that dies. The dead do nothing."""

    left: int
    done: bool
    dead: bool = False

    def require(self) -> None:
        if self.dead:
            raise KilledError

    def act(self) -> bool:
        """Whether this action is the last one, and has its effect."""
        self.require()
        self.left -= 1
        self.dead = self.left < 0
        if self.dead and not self.done:
            raise KilledError
        return self.dead


@dataclass(frozen=True)
class _Answer:
    """An answer of the API server, given again."""

    body: bytes
    status: int = 200

    async def read(self) -> bytes:
        return self.body


@asynccontextmanager
async def world(
    api: ApiServer,
    namespace: str,
    kubeconfig: Path,
    prometheus_url: str,
    exporter: Exporter | None = None,
) -> AsyncIterator[World]:
    """A world of its own; without an exporter Prometheus is whatever is at the address."""
    async with AsyncExitStack() as stack:
        kube, people = [
            await stack.enter_async_context(
                connect(
                    answer_within=20,
                    count=lambda *_: None,
                    gate=always_open,
                    in_cluster=False,
                    kubeconfig=path,
                )
            )
            for path in (kubeconfig, api.kubeconfig)
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        key = AdminKey.generate()
        prometheus = Prometheus(prometheus_url, timeout=5)
        stack.callback(prometheus.close)
        made: World

        def now() -> datetime:
            return datetime.now(UTC) + made.later

        clock = asyncio.get_running_loop().time
        services = Services(
            kube=kube,
            metrics_source=MetricsSource(prometheus, scope_of([]), max_age=timedelta(), now=now),
            history_source=HistorySource(prometheus, scope_of([]), now=now),
            admin=PodAdmin(session, key, timeout=2, concurrency=8),
            admin_keys=json.dumps(key.jwk_set()),
            secrets=SharedObjects(kube, SECRETS, 0, clock),
            config_maps=SharedObjects(kube, CONFIG_MAPS, 0, clock),
            comparisons=Pace(clock),
            first_tellings=Pace(clock),
            tellings_again=Pace(clock),
            tell_again=0,
            started=datetime.now(UTC),
            nodes=NodeDirectory(kube, clock),
            pods={component: PodDirectory(kube, component) for component in Component},
            resources=ResourceDirectory(),
            pod_monitors=PodMonitorKind(kube, lambda: clock() + made.later.total_seconds()),
            installation=Installation("example.org/engine:1", "example.org/relay:1", "operators"),
            metrics=OperatorMetrics(clock, clock),
            tracer=NoTracer(),
            namespaces=(),
            tick=15,
            instance="test",
            now=now,
            new_id=lambda: str(uuid.uuid4()),
            randomness=secrets.token_bytes,
        )
        node = f"node-{namespace}"
        await people.client.request(
            "post", "/api/v1/nodes", body={"metadata": {"name": node}}, serialize=False
        )
        made = World(api, namespace, node, kube, people, session, services, key, exporter)
        await made.people.client.request(
            "patch",
            f"/api/v1/nodes/{node}/status",
            body={"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}},
            content_type="application/merge-patch+json",
            serialize=False,
        )
        # The controller-manager makes it, after the namespace.
        await _service_account(made)
        try:
            yield made
        finally:
            await _stop(made.pods.values())
            if exporter is not None:
                await asyncio.to_thread(exporter.show, namespace, "")
            await people.client.request("delete", f"/api/v1/nodes/{made.node}", serialize=False)


async def _service_account(made: World) -> None:
    async with asyncio.timeout(20):
        path = f"/api/v1/namespaces/{made.namespace}/serviceaccounts"
        while True:
            response = await made.people.client.request("get", path, serialize=False)
            if json.loads(await response.read())["items"]:
                return
            await asyncio.sleep(0.05)


async def _stop(pods: Iterable[PodServer]) -> None:
    for pod in pods:
        await pod.stop()

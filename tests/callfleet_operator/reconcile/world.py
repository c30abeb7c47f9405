"""A cluster for rounds: a real API server and a real Prometheus, with stand-ins for what is not
there: the kubelet, and the pods' admin ports and metrics."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from callfleet_operator.gateway.admin_key import AdminKey
from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.pod_admin import PodAdmin
from callfleet_operator.gateway.prometheus import Prometheus
from callfleet_operator.gateway.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    ResourceType,
)
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.observe.queries import scope_of
from callfleet_operator.reconcile.dispatch import reconcile
from callfleet_operator.reconcile.history_source import HistorySource
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.metrics_source import MetricsSource
from callfleet_operator.reconcile.nodes import NodeDirectory
from callfleet_operator.reconcile.pace import Pace
from callfleet_operator.reconcile.pod_directory import PodDirectory
from callfleet_operator.reconcile.pod_monitors import PodMonitorKind
from callfleet_operator.reconcile.pool_users import CompleteUsers
from callfleet_operator.reconcile.resource_directory import ResourceDirectory
from callfleet_operator.reconcile.revision_lists import RevisionLists
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.shared_objects import SharedObjects
from callfleet_operator.render.fleet import Component, Installation
from callfleet_operator.tracing import NoTracer
from tests.callfleet_operator.gateway.connections import uncounted
from tests.callfleet_operator.gateway.pod_server import PodServer
from tests.callfleet_operator.gateway.prometheus_server import Exporter
from tests.callfleet_operator.reconcile.kubelet import Kubelet, merge
from tests.cluster.api_server import ApiServer
from tests.cluster.audit import AuditEvent
from tests.waiting import until

OPERATOR = "callfleet-operator-test"
MASTER = "m" * 32


@dataclass
class World:
    """One namespace of it."""

    api: ApiServer
    namespace: str
    kube: Kube
    """The operator's."""
    people: Kube
    """Everybody else's: users, kubelet, controllers."""
    session: aiohttp.ClientSession
    """The operator's, to the pods."""
    services: Services
    kubelet: Kubelet
    exporter: Exporter | None
    extra: str = ""
    """More lines for Prometheus."""
    later: timedelta = timedelta()
    """By how much the operator's clock is ahead."""

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
        await merge(self.people, resource, namespace, name, patch, part=part)

    async def change_pod(self, name: str, patch: Body) -> None:
        await self.change(PODS, name, patch)

    async def change_resource(self, key: Key, patch: Body) -> None:
        await self.change(key.kind.resource, key.name, patch)

    async def status(self, key: Key) -> dict[str, Any]:
        live = await self.people.get(key.kind.resource, key.namespace, key.name)
        assert live is not None
        status: dict[str, Any] = live.get("status", {})
        return status

    async def condition(self, key: Key, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        for one in (await self.status(key)).get("conditions", []):
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        raise AssertionError(f"{key} has no condition {kind}")

    # Pods

    async def list_pods(self) -> list[Body]:
        return await self.people.list_all(PODS, self.namespace)

    @property
    def node(self) -> str:
        """Where new pods are bound to."""
        return self.kubelet.node

    @property
    def pods(self) -> dict[str, PodServer]:
        """Those that run, by uid."""
        return self.kubelet.pods

    @property
    def ended(self) -> dict[str, PodServer]:
        """Those that are no more, by uid."""
        return self.kubelet.ended

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
            await self.kubelet.sync()
            if self.exporter is not None:
                await self.scrape()
        for key in keys:
            await self.round(key)

    async def restart(self) -> None:
        """The operator's process ends and another one begins: only memory is lost."""
        self.services.memories.clear()

    async def mark(self) -> int:
        return await asyncio.to_thread(self.api.audit.mark)

    async def requests(self, since: int) -> list[AuditEvent]:
        """What the operator asked for in this namespace since a mark."""
        events = await asyncio.to_thread(self.api.audit.events, since)
        return [
            event
            for event in events
            if event.user == OPERATOR and event.namespace == self.namespace
        ]

    async def writes(self, since: int, *resources: str) -> list[AuditEvent]:
        """Those that are writes, of all or of some resources."""
        return [
            event
            for event in await self.requests(since)
            if event.is_write and (not resources or event.resource in resources)
        ]


@asynccontextmanager
async def world(
    api: ApiServer,
    namespace: str,
    kubeconfig: Path,
    prometheus_url: str,
    exporter: Exporter | None = None,
    *,
    answer_within: float = 5,
) -> AsyncIterator[World]:
    """A world of its own; without an exporter Prometheus is whatever is at the address. It is given
    `answer_within` seconds for a query."""
    async with AsyncExitStack() as stack:
        kube, people = [
            await stack.enter_async_context(uncounted(path))
            for path in (kubeconfig, api.kubeconfig)
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        key = AdminKey.generate()
        prometheus = Prometheus(prometheus_url, timeout=answer_within)
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
            namespace_objects=SharedObjects(kube, NAMESPACES, 0, clock),
            comparisons=Pace(clock),
            first_tellings=Pace(clock),
            tellings_again=Pace(clock),
            tell_again=0,
            started=datetime.now(UTC),
            nodes=NodeDirectory(kube, clock),
            pods={component: PodDirectory(kube, component) for component in Component},
            resources=ResourceDirectory(),
            pool_users=CompleteUsers(kube, (), clock, share=0),
            revisions=RevisionLists(kube, clock),
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
        addresses = [{"type": "InternalIP", "address": "192.0.2.7"}]
        await merge(people, NODES, "", node, {"status": {"addresses": addresses}}, part="status")
        kubelet = Kubelet(people, namespace, node, key.jwk_set())
        made = World(api, namespace, kube, people, session, services, kubelet, exporter)
        # The controller-manager makes it, after the namespace.
        await _service_account(made)
        try:
            yield made
        finally:
            await kubelet.stop()
            if exporter is not None:
                await asyncio.to_thread(exporter.show, namespace, "")
            await people.client.request("delete", f"/api/v1/nodes/{made.node}", serialize=False)


async def _service_account(made: World) -> None:
    path = f"/api/v1/namespaces/{made.namespace}/serviceaccounts"

    async def is_there() -> bool:
        response = await made.people.client.request("get", path, serialize=False)
        return bool(json.loads(await response.read())["items"])

    await until(is_there)

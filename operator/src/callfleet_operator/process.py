"""One operator process: gateways, queue, rounds, watches and pages put together."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import aiohttp
import kopf

from callfleet_operator.gateway.admin_key import load_or_create
from callfleet_operator.gateway.errors import ForbiddenError, NotFoundError
from callfleet_operator.gateway.kube import Kube, connect
from callfleet_operator.gateway.pod_admin import PodAdmin
from callfleet_operator.gateway.prometheus import Prometheus
from callfleet_operator.gateway.resources import CALL_CLUSTERS, TURN_POOLS
from callfleet_operator.handlers.http import Health, application, serving
from callfleet_operator.handlers.queue import KeyedQueue
from callfleet_operator.handlers.wakes import Wakes
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.observe.queries import scope_of
from callfleet_operator.reconcile.dispatch import reconcile
from callfleet_operator.reconcile.history_source import HistorySource
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.metrics_source import MetricsSource
from callfleet_operator.reconcile.nodes import NodeDirectory
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Installation
from callfleet_operator.settings import ListenAddress, Settings
from callfleet_operator.startup import in_cluster, kopf_registry, kopf_settings

ROUND_TIMEOUT = 120.0
"""Seconds; every request has its own, much shorter one."""
SNAPSHOT_AGE = timedelta(seconds=3)
"""Rounds that come together share one look at Prometheus."""


class StartError(Exception):
    """The operator cannot start; the message says what to do."""


async def run(settings: Settings, listening: Callable[[ListenAddress], None]) -> None:
    """Run until SIGINT or SIGTERM. `listening` is called with the address of the pages.

    Raises StartError, AdminKeyError, ConnectError, KubeError or OSError when the operator cannot
    start.
    """
    metrics = OperatorMetrics(clock=time.monotonic, wall=time.time)
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(
            connect(
                answer_within=settings.api_timeout, count=metrics.request, in_cluster=in_cluster()
            )
        )
        await check_resources(kube, settings.namespaces)
        services = await _services(settings, stack, kube, metrics)
        queue: KeyedQueue[Key] = KeyedQueue(
            lambda key: reconcile(services, key),
            metrics,
            workers=settings.workers,
            round_timeout=ROUND_TIMEOUT,
            clock=asyncio.get_running_loop().time,
        )
        health = Health(queue.longest_wait, metrics.round_ages, settings.health_max_age)
        pages = application(metrics.registry, health)
        listening(await stack.enter_async_context(serving(pages, settings.metrics)))
        async with asyncio.TaskGroup() as group:
            rounds = group.create_task(queue.run(), name="rounds")
            history = group.create_task(services.history_source.run(), name="history")
            await kopf.operator(
                registry=kopf_registry(Wakes(queue.add, services.nodes)),
                settings=kopf_settings(),
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
                standalone=True,
                # Its own guess asks for the user's name, which a container's uid may not have.
                identity=services.instance,  # type: ignore[arg-type] # a NewType not exported
            )
            rounds.cancel()
            history.cancel()


async def check_resources(kube: Kube, namespaces: tuple[str, ...]) -> None:
    """Raises StartError if the CRDs are not installed or may not be read."""
    for resource in (CALL_CLUSTERS, TURN_POOLS):
        for namespace in namespaces or ("",):
            try:
                await kube.probe(resource, namespace)
            except NotFoundError as missing:
                raise StartError(
                    f"The API server knows no {resource.plural}.{resource.group}: install the "
                    "CRDs with `kubectl apply --server-side -f crds/`, or with the chart's value "
                    "crds.enabled."
                ) from missing
            except ForbiddenError as refusal:
                where = f"in namespace {namespace}" if namespace else "in all namespaces"
                raise StartError(
                    f"The operator may not list {resource.plural} {where}: {refusal.message}. "
                    "Install the chart's RBAC, or name the namespaces it may serve with "
                    "--namespace."
                ) from refusal


async def _services(
    settings: Settings, stack: AsyncExitStack, kube: Kube, metrics: OperatorMetrics
) -> Services:
    key = await load_or_create(kube, settings.operator_namespace)
    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=settings.admin_concurrency))
    )
    prometheus, history = _prometheus(settings, stack), _prometheus(settings, stack)
    return Services(
        kube=kube,
        metrics_source=MetricsSource(
            prometheus,
            scope_of(settings.namespaces),
            max_age=SNAPSHOT_AGE,
            now=_now,
            demand_window=timedelta(seconds=settings.demand_window),
        ),
        history_source=HistorySource(history, scope_of(settings.namespaces), now=_now),
        admin=PodAdmin(
            session,
            key,
            timeout=settings.admin_timeout,
            concurrency=settings.admin_concurrency,
        ),
        admin_keys=json.dumps(key.jwk_set(), sort_keys=True) + "\n",
        nodes=NodeDirectory(kube, time.monotonic),
        installation=Installation(
            engine_image=settings.engine_image,
            relay_image=settings.relay_image,
            operator_namespace=settings.operator_namespace,
        ),
        metrics=metrics,
        namespaces=settings.namespaces,
        tick=settings.tick,
        instance=socket.gethostname(),
        now=_now,
        new_id=lambda: str(uuid.uuid4()),
        randomness=secrets.token_bytes,
    )


def _prometheus(settings: Settings, stack: AsyncExitStack) -> Prometheus:
    """A connection and thread of its own: queries of one wait for one another."""
    prometheus = Prometheus(
        settings.prometheus_url,
        timeout=settings.prometheus_timeout,
        token_file=settings.prometheus_token_file,
        ca_file=settings.prometheus_ca_file,
    )
    stack.callback(prometheus.close)
    return prometheus


def _now() -> datetime:
    return datetime.now(UTC)

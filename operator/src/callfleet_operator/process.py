"""One operator process: its pages, the election, and what it does while it leads."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from callfleet_operator.gateway.election import ATTEMPT, Tenure
from callfleet_operator.gateway.errors import ForbiddenError, KubeError, NotFoundError
from callfleet_operator.gateway.gate import always_open
from callfleet_operator.gateway.kube import Kube, connect
from callfleet_operator.gateway.lease import Lease
from callfleet_operator.gateway.resources import CALL_CLUSTERS, TURN_POOLS
from callfleet_operator.gateway.traces import traces
from callfleet_operator.handlers.http import Health, application, serving
from callfleet_operator.leader import Leader, take_signals
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.settings import ListenAddress, Settings
from callfleet_operator.startup import in_cluster
from callfleet_operator.tasks import EndedError, before, patiently, running

NEW_OBJECTS = 20_000
"""After so many more objects Python looks for cycles. With its own 700 it does so hundreds of times
while one answer of Prometheus with the rows of 20,000 pods is read: a third of that time."""


class StartError(Exception):
    """The operator cannot start; the message says what to do."""


async def run(settings: Settings, listening: Callable[[ListenAddress], None]) -> None:
    """Run until SIGINT or SIGTERM. `listening` is called with the address of the pages, which are
    served on standby too.

    Raises StartError, TracesError, AdminKeyError, ConnectError, KubeError or OSError when the
    operator cannot start, LeaseLostError or WatchesEndedError when it has to leave.
    """
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    metrics = OperatorMetrics(clock=time.monotonic, wall=time.time)
    tenure = Tenure(limited=settings.leader_election)
    metrics.leader(lambda: tenure.leading)
    stop = asyncio.Event()
    take_signals(stop)
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(traces(socket.gethostname()))
        to_api = partial(connect, count=metrics.request, in_cluster=in_cluster())
        kube = await stack.enter_async_context(
            to_api(answer_within=settings.api_timeout, gate=tenure.check)
        )
        health = Health(
            lambda: 0.0, metrics.round_ages, settings.health_max_age, lambda: tenure.leading
        )
        pages = application(metrics.registry, health)
        listening(await stack.enter_async_context(serving(pages, settings.metrics)))
        leader = Leader(settings, kube, metrics, tracer, health, tenure.check, stop)
        # A connection of its own: slow requests of rounds must not keep a renewal waiting.
        lease_kube = await stack.enter_async_context(
            to_api(answer_within=ATTEMPT, gate=always_open)
        )
        try:
            async with running(stop.wait()) as stopping:
                asked = patiently(lambda: check_resources(kube, settings.namespaces))
                await before(stopping, asked)
                if settings.leader_election:
                    lease = _lease(settings, lease_kube, tenure)
                    await before(stopping, _acquire(lease))
                    await _lead_while(lease, leader)
                else:
                    (await leader.lead()).say()
        except EndedError:
            return


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


def _lease(settings: Settings, kube: Kube, tenure: Tenure) -> Lease:
    # Two processes of one host must not take each other for themselves.
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    return Lease(kube, settings.operator_namespace, settings.lease_name, identity, tenure)


async def _acquire(lease: Lease) -> None:
    try:
        await lease.acquire()
    except KubeError as refusal:
        raise StartError(
            f"The Lease {lease} cannot be used: {refusal.message}. Install the chart's RBAC, and "
            "name a namespace that exists with --operator-namespace; or run the operator with "
            "--no-leader-election if it is the only one and stays it."
        ) from refusal


async def _lead_while(lease: Lease, leader: Leader) -> None:
    async with lease.watched():
        async with running(lease.keep()) as keeping, running(leader.lead()) as leading:
            await asyncio.wait({keeping, leading}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            end = leading.result()
        if end.calm:
            await lease.release()
    end.say()

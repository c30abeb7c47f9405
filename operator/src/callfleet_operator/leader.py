"""What an operator does while it leads: gateways, queue, rounds and watches put together."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import socket
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from callfleet_operator.gateway.admin_key import AdminKey, load_or_create
from callfleet_operator.gateway.gate import Check
from callfleet_operator.gateway.kube import Kube, connect
from callfleet_operator.gateway.pod_admin import PodAdmin, admin_session
from callfleet_operator.gateway.prometheus import Prometheus
from callfleet_operator.gateway.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS
from callfleet_operator.gateway.watch import Followed, follow
from callfleet_operator.handlers.http import Health
from callfleet_operator.handlers.queue import KeyedQueue
from callfleet_operator.handlers.wakes import Wakes
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.observe.queries import scope_of
from callfleet_operator.reconcile.dispatch import reconcile
from callfleet_operator.reconcile.history_source import HistorySource
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.metrics_source import MetricsSource
from callfleet_operator.reconcile.nodes import NodeDirectory
from callfleet_operator.reconcile.pace import (
    COMPARED_A_SECOND,
    COMPARED_AT_ONCE,
    TELL_AGAIN,
    TOLD_A_SECOND,
    TOLD_AGAIN_A_SECOND,
    TOLD_AT_ONCE,
    Pace,
)
from callfleet_operator.reconcile.pod_directory import PodDirectory
from callfleet_operator.reconcile.pod_monitors import PodMonitorKind
from callfleet_operator.reconcile.pool_users import CompleteUsers
from callfleet_operator.reconcile.resource_directory import ResourceDirectory
from callfleet_operator.reconcile.revision_lists import RevisionLists
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.shared_objects import SharedObjects
from callfleet_operator.render.fleet import Component, Installation
from callfleet_operator.settings import Settings
from callfleet_operator.startup import in_cluster, kopf_registry, kopf_settings
from callfleet_operator.tasks import EndedError, before, patiently, running
from callfleet_operator.tracing import Tracer

ROUND_TIMEOUT = 120.0
"""Seconds; every request has its own, much shorter one."""
SNAPSHOT_AGE = timedelta(seconds=3)
"""Rounds that come together share one look at Prometheus."""
FINISH_WITHIN = 4.0
"""Seconds that rounds under way have when the operator ends; kopf cuts them off after five."""
LIST_WITHIN = 20.0
"""Seconds that rounds wait for the first list of all pods. Without it they list their own."""

log = logging.getLogger(__name__)


class WatchesEndedError(Exception):
    """The watches cannot go on in this process; the message says why."""


@dataclass(frozen=True, slots=True)
class End:
    """How a time of leading has ended."""

    calm: bool
    """Nothing was under way any more."""
    asked: bool
    """By a signal; else the watches have ended."""

    def say(self) -> None:
        """Raises WatchesEndedError if nobody has asked for the end."""
        if not self.asked:
            raise WatchesEndedError(
                "The watches have ended and the operator leaves, to be started again. The log "
                "before this says which and why."
            )


@dataclass(frozen=True, slots=True)
class Leader:
    """What this process does while it leads."""

    settings: Settings
    kube: Kube
    metrics: OperatorMetrics
    tracer: Tracer
    health: Health
    gate: Check
    stop: asyncio.Event

    async def lead(self) -> End:
        """Act until asked to stop, or until the watches end. Cancelled, it ends where it stands."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            stopping = await stack.enter_async_context(running(self.stop.wait()))
            asked = patiently(lambda: load_or_create(self.kube, settings.operator_namespace))
            try:
                key = await before(stopping, asked)
            except EndedError:
                return End(calm=True, asked=True)
            services = await self._services(stack, key)
            queue: KeyedQueue[Key] = KeyedQueue(
                lambda key: reconcile(services, key),
                self.metrics,
                workers=settings.workers,
                round_timeout=ROUND_TIMEOUT,
                clock=asyncio.get_running_loop().time,
            )
            self.health.longest_wait = queue.longest_wait
            ending = asyncio.Event()
            wakes = Wakes(queue.add, services.nodes, services.resources, services.pool_users.known)
            watch = self._watch(wakes, services.instance, ending)
            async with (
                running(self._work(queue, services)) as rounds,
                running(self._follow_pods(services, wakes)) as pods,
                running(watch) as watches,
                running(ending.wait()) as watches_ending,
                running(services.history_source.run()) as history,
            ):
                await asyncio.wait(
                    {stopping, rounds, pods, watches, watches_ending, history},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                # What is under way ends as it should: a write that is cut off may still arrive,
                # when another replica leads.
                queue.close()
                await asyncio.wait({rounds}, timeout=FINISH_WITHIN)
                if rounds.done():
                    rounds.result()
                else:
                    log.warning(
                        "rounds under way have not ended within %g s",
                        FINISH_WITHIN,
                        extra={"event": "rounds-cut-off"},
                    )
                for task in (pods, history):
                    if task.done():
                        task.result()
                # Once kopf has ended it has ended every task that it does not know: rounds, too.
                return End(calm=rounds.done() and not watches.done(), asked=stopping.done())

    async def _work(self, queue: KeyedQueue[Key], services: Services) -> None:
        """Begin with the rounds once all pods are listed: before, each lists its own, and with
        thousands of fleets that takes several times as long as all pods together."""
        async with running(self._listed(services)) as listed, running(queue.closed()) as closed:
            await asyncio.wait(
                {listed, closed}, timeout=LIST_WITHIN, return_when=asyncio.FIRST_COMPLETED
            )
        await queue.run()

    async def _listed(self, services: Services) -> None:
        for directory in services.pods.values():
            await directory.until_current(self._namespaces)

    @property
    def _namespaces(self) -> tuple[str, ...]:
        """Namespaces that are followed one by one; empty: all together."""
        return self.settings.namespaces or ("",)

    async def _follow_pods(self, services: Services, wakes: Wakes) -> None:
        namespaces = self._namespaces
        connections = len(namespaces) * len(services.pods)
        listing = asyncio.Lock()  # the pages of one list are memory enough
        # Connections of their own: a watch holds one all the time.
        async with (
            connect(
                answer_within=self.settings.api_timeout,
                count=self.metrics.request,
                gate=self.gate,
                in_cluster=in_cluster(),
                connections=connections,
            ) as kube,
            asyncio.TaskGroup() as watches,
        ):
            for directory in services.pods.values():
                directory.wake = wakes.pod
                for namespace in namespaces:
                    what = Followed(PODS, namespace, directory.selector)
                    watches.create_task(follow(kube, what, directory, listing))

    async def _watch(self, wakes: Wakes, instance: str, ending: asyncio.Event) -> None:
        """Run kopf. `ending` is set when it begins to end, which may take it five seconds."""
        registry = kopf_registry(wakes)

        @kopf.on.cleanup(registry=registry)
        async def on_cleanup(**_: Any) -> None:  # noqa: ANN401  # kopf's
            ending.set()

        started = asyncio.Event()

        async def take_signals_back() -> None:
            await started.wait()
            take_signals(self.stop)

        # kopf takes the signals while it starts. It would end what is under way in its own manner,
        # and only after five seconds.
        async with running(take_signals_back()):
            await kopf.operator(
                registry=registry,
                settings=kopf_settings(),
                clusterwide=not self.settings.namespaces,
                namespaces=self.settings.namespaces,
                standalone=True,
                # Its own guess asks for the user's name, which a container's uid may not have.
                identity=instance,  # type: ignore[arg-type] # a NewType not exported
                ready_flag=started,
            )

    async def _services(self, stack: AsyncExitStack, key: AdminKey) -> Services:
        settings = self.settings
        session = await stack.enter_async_context(
            admin_session(self.gate, settings.admin_concurrency)
        )
        prometheus, history = _prometheus(settings, stack), _prometheus(settings, stack)
        return Services(
            kube=self.kube,
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
            secrets=SharedObjects(self.kube, SECRETS, settings.tick, time.monotonic),
            config_maps=SharedObjects(self.kube, CONFIG_MAPS, settings.tick, time.monotonic),
            namespace_objects=SharedObjects(self.kube, NAMESPACES, settings.tick, time.monotonic),
            comparisons=Pace(time.monotonic, COMPARED_A_SECOND, COMPARED_AT_ONCE),
            first_tellings=Pace(time.monotonic, TOLD_A_SECOND, TOLD_AT_ONCE),
            tellings_again=Pace(time.monotonic, TOLD_AGAIN_A_SECOND, TOLD_AGAIN_A_SECOND),
            tell_again=TELL_AGAIN,
            started=_now(),
            nodes=NodeDirectory(self.kube, time.monotonic),
            pods={component: PodDirectory(self.kube, component) for component in Component},
            resources=ResourceDirectory(),
            pool_users=CompleteUsers(self.kube, settings.namespaces, time.monotonic),
            revisions=RevisionLists(self.kube, time.monotonic),
            pod_monitors=PodMonitorKind(self.kube, time.monotonic),
            installation=Installation(
                engine_image=settings.engine_image,
                relay_image=settings.relay_image,
                operator_namespace=settings.operator_namespace,
                pod_monitor_labels=settings.pod_monitor_labels,
            ),
            metrics=self.metrics,
            tracer=self.tracer,
            namespaces=settings.namespaces,
            tick=settings.tick,
            instance=socket.gethostname(),
            now=_now,
            new_id=lambda: str(uuid.uuid4()),
            randomness=secrets.token_bytes,
        )


def take_signals(stop: asyncio.Event) -> None:
    """Let SIGINT and SIGTERM set an event."""
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop.set)


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

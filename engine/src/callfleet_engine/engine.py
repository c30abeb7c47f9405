"""One engine process: started, listening, and ended in order."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import aiohttp
from aiohttp import web

from callfleet_engine.background import Background
from callfleet_engine.calls.call import Call
from callfleet_engine.calls.moving import Batches
from callfleet_engine.calls.rates import RATE_SECONDS
from callfleet_engine.calls.sampling import SAMPLE_SECONDS
from callfleet_engine.certificate import Certificate, UnusableCertificate
from callfleet_engine.drain import DrainConflict
from callfleet_engine.health import health_app
from callfleet_engine.media.interface import MediaPlane
from callfleet_engine.parts import Parts
from callfleet_engine.settings import Endpoint, InvalidSettings, Settings, flag
from callfleet_engine.signalling import pages, quality
from callfleet_engine.sites import bind, serving
from callfleet_engine.store.interface import IncompatibleSchema, StoreError, StoreUnavailable

logger = logging.getLogger(__name__)

STORE_RETRY_SECONDS = 2.0
MAINTENANCE_SECONDS = 3600.0
LOOK_SECONDS = 0.5
"""How often an engine that is to end looks whether its calls have."""

CLOSE_SECONDS = 5.0
GIVE_UP_SECONDS = 3.0
"""How long an engine that has to end now goes on giving up calls, before it is killed."""

OBJECTS_A_COLLECTION = 5_000
"""Made and not freed; a participant has about as many, and they stay."""

ALL_AT_ONCE = Batches(participants=10_000, milliseconds=1_000)


@dataclass(frozen=True, slots=True)
class Listening:
    """What was bound."""

    listen: Endpoint
    listen_tls: Endpoint | None
    metrics: Endpoint
    admin: Endpoint


class EndedEarly(Exception):  # noqa: N818 - no error: told to end before it served
    """The engine was told to end while it waited for its database."""


class Engine:
    """`async with Engine(settings) as engine` serves; leaving ends all calls and everything."""

    def __init__(self, settings: Settings, told_to_end: asyncio.Event | None = None) -> None:
        self.settings = settings
        self._told_to_end = told_to_end or asyncio.Event()
        self.parts: Parts
        self.listening: Listening
        self._ready = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises InvalidSettings naming the flag, EndedEarly."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def drained(self) -> None:
        """Drain for good, and wait until no call and no join is left."""
        self.parts.drain.terminate()
        await self._empty()

    async def given_up(self) -> None:
        """Send the calls of a terminating engine to other pods, as far as these have room, and
        wait until they have left."""
        drain_id = self.parts.drain.drain_id
        if drain_id is None or not self.parts.admission.calls:
            return
        try:
            self.parts.mover.begin(drain_id, ALL_AT_ONCE)
        except DrainConflict as conflict:
            logger.info("calls are ended", extra={"why": conflict.message})
        else:
            await self._empty()

    async def _empty(self) -> None:
        # Looking now and then spares every change of the counts a wake-up for one moment's use.
        while self.parts.admission.calls or self.parts.admission.pending_joins:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)

    async def _start(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        client = await stack.enter_async_context(aiohttp.ClientSession())
        # Bound before the parts are made, for the port is part of this pod's address, and served
        # when they are ready.
        signalling, listen = bind("listen", settings.listen)
        stack.callback(signalling.close)
        over_tls, tls_endpoint, certificate = _bind_tls(settings, stack)
        metrics, metrics_endpoint = bind("metrics", settings.metrics)
        stack.callback(metrics.close)
        admin, admin_endpoint = bind("admin", _admin_endpoint(settings))
        stack.callback(admin.close)
        self.listening = Listening(listen, tls_endpoint, metrics_endpoint, admin_endpoint)

        self.parts = parts = Parts(settings, listen, client)
        health = health_app(parts.metrics, self._why_not_ready)
        await stack.enter_async_context(serving(health, metrics))
        await stack.enter_async_context(serving(parts.admin.app(), admin))
        stack.push_async_callback(parts.store.close)
        await self._open_store()
        stack.push_async_callback(parts.plane.close)
        try:
            await parts.plane.start()
        except OSError as error:
            raise InvalidSettings(
                f"{flag('media_address')} {', '.join(settings.media_address)} "
                f"{flag('media_port')} {settings.media_port}: {error}"
            ) from error
        await stack.enter_async_context(parts.samples)
        background = Background()
        stack.push_async_callback(background.finish, 0)
        if settings.external_address_from:
            background.keep(parts.media_addresses.follow, "external address")
        if certificate is not None:
            background.keep(certificate.follow, "certificate")
        background.keep(parts.journal.run, "journal")
        background.keep(parts.peers.run, "heartbeats")
        background.keep(self._maintain, "maintenance")
        background.keep(self._sample, "samples")
        background.keep(self._rates, "rates")
        stack.push_async_callback(self._last_records)

        app = web.Application()
        parts.signalling.add_routes(app)
        parts.whip.add_routes(app)
        pages.add_routes(app)
        quality.add_routes(app, parts.presets)
        await stack.enter_async_context(serving(app, signalling, over_tls))
        stack.callback(self._end_calls)
        self._ready = True

    async def _open_store(self) -> None:
        while True:
            try:
                await self.parts.store.open()
            except IncompatibleSchema as error:
                raise InvalidSettings(f"{flag('database')}: {error}") from error
            except StoreUnavailable as error:
                logger.warning("waiting for the database", extra={"error": str(error)})
                await self._pause(STORE_RETRY_SECONDS)
            else:
                return

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._told_to_end.wait()
        except TimeoutError:
            return
        raise EndedEarly

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(MAINTENANCE_SECONDS)
            try:
                await self.parts.store.maintain()
            except StoreError as error:
                logger.warning("maintenance of the database failed", extra={"error": str(error)})

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            await self._look_at_calls(
                lambda call, now: self.parts.sampler.sample(call, datetime.now(UTC), now)
            )

    async def _rates(self) -> None:
        while True:
            await asyncio.sleep(RATE_SECONDS)
            await self._look_at_calls(self.parts.rates.look)

    async def _look_at_calls(self, look: Callable[[Call, float], None]) -> None:
        """One by one: signalling comes between them."""
        loop = asyncio.get_running_loop()
        for call in self.parts.host.calls:
            look(call, loop.time())
            await asyncio.sleep(0)

    def _end_calls(self) -> None:
        self._ready = False
        self.parts.host.end_all("pod_terminated")
        self.parts.drain.end()

    async def _last_records(self) -> None:
        """What has ended is told to the database, and that this pod takes nothing any more."""
        await self.parts.mover.close()
        await self.parts.relay_mover.close()
        await self.parts.host.close(CLOSE_SECONDS)
        if not await self.parts.journal.flush(CLOSE_SECONDS):
            logger.warning("records are lost", extra={"backlog": self.parts.journal.backlog})
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.parts.peers.beat()
        except (StoreError, TimeoutError) as error:
            logger.warning("the last heartbeat failed", extra={"error": repr(error)})

    def _why_not_ready(self) -> str | None:
        if not self._ready:
            return "starting or ending"
        if self.parts.sealed:
            return "sealed"
        return None if self.parts.media_addresses() else self.parts.media_addresses.why_none


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    SIGTERM drains first, for `termination_grace` at most; the calls that are left then go to other
    pods. SIGINT, and any second signal, end the calls at once. Raises InvalidSettings.
    """
    terminate, stop = asyncio.Event(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if number is signal.SIGINT or terminate.is_set():
            stop.set()
        terminate.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        async with Engine(settings, terminate) as engine:
            _settle_heap()
            _announce(engine.listening, engine.parts.plane)
            await terminate.wait()
            logger.info("ending", extra={"graceSeconds": settings.termination_grace})
            await _first(engine.drained(), stop.wait(), within_seconds=settings.termination_grace)
            if not stop.is_set():
                await _first(engine.given_up(), stop.wait(), within_seconds=GIVE_UP_SECONDS)
    except EndedEarly:
        logger.info("ended before it served")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _settle_heap() -> None:
    """What start-up has made stays: spare the collector looking through it as people come."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_A_COLLECTION)


async def _first(*works: Coroutine[None, None, object], within_seconds: float) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _announce(listening: Listening, plane: MediaPlane) -> None:
    line = {
        "event": "listening",
        "listen": str(listening.listen),
        "listenTls": str(listening.listen_tls) if listening.listen_tls else None,
        "metrics": str(listening.metrics),
        "admin": str(listening.admin),
        "mediaPort": plane.port,
        "mediaplane": plane.name,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _bind_tls(
    settings: Settings, stack: AsyncExitStack
) -> tuple[tuple[socket.socket, ssl.SSLContext] | None, Endpoint | None, Certificate | None]:
    if settings.listen_tls is None or settings.tls_cert is None or settings.tls_key is None:
        return None, None, None
    try:
        certificate = Certificate(settings.tls_cert, settings.tls_key)
    except UnusableCertificate as error:
        raise InvalidSettings(f"{flag('tls_cert')}, {flag('tls_key')}: {error}") from error
    bound, endpoint = bind("listen_tls", settings.listen_tls)
    stack.callback(bound.close)
    return (bound, certificate.context), endpoint, certificate


def _admin_endpoint(settings: Settings) -> Endpoint:
    """Without a key only this machine may call (contracts.md, "Admin interface")."""
    if settings.admin_keys_file or settings.admin.loopback:
        return settings.admin
    logger.warning(
        "no --admin-keys-file: the admin interface stays on loopback",
        extra={"asked": str(settings.admin)},
    )
    return Endpoint(host="127.0.0.1", port=settings.admin.port)

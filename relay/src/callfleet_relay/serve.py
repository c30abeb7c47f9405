"""The whole process: sockets, HTTP, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiohttp import web

from callfleet_relay.admin import admin_app, metrics_app
from callfleet_relay.drain import Admission
from callfleet_relay.external import AddressUnknownError, find_addresses
from callfleet_relay.message import Address
from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings, format_address, parse_address
from callfleet_relay.tokens import TokenVerifier, read_keys
from callfleet_relay.transport.choice import NativeUnavailableError
from callfleet_relay.watched import TextSource, UnusableFileError

logger = logging.getLogger(__name__)

HTTP_SHUTDOWN_SECONDS = 2.0


class StartError(Exception):
    """The relay cannot start; the message names the flag and the remedy."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """SIGTERM or SIGINT: the first asks for an orderly end, the second for one at once."""

    asked: asyncio.Event
    at_once: asyncio.Event

    def signalled(self) -> None:
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, and until the last session has ended or the grace is over.

    Raises `StartError`.
    """
    loop = asyncio.get_running_loop()
    stop = _Stop(asyncio.Event(), asyncio.Event())
    async with AsyncExitStack() as stack:
        metrics = _bind_http("--metrics", settings.metrics, stack)
        admin = _bind_http("--admin", settings.admin, stack)
        relay = await _start(settings, [metrics.getsockname()[:2], admin.getsockname()[:2]])
        stack.callback(relay.close)
        if relay.public is not None:
            following = asyncio.create_task(relay.public.follow(), name="public address")
            stack.callback(following.cancel)
        verifier = _follow_admin_keys(relay)
        await _serve_http(metrics_app(relay), metrics, stack)
        await _serve_http(admin_app(relay, verifier), admin, stack)

        loop.add_signal_handler(signal.SIGHUP, relay.followed.reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.signalled)
        _announce(relay, metrics, admin)
        await stop.asked.wait()
        await _wind_down(relay, stop.at_once, settings.termination_grace)


async def _start(settings: Settings, http: list[Address]) -> Relay:
    for local in settings.relay_address:
        family = socket.AF_INET6 if local.version == 6 else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((str(local), 0))
        except OSError as error:
            raise StartError(
                f"--relay-address {local}: {error.strerror}: name an address of this machine, and "
                "what clients are to see with --external-address"
            ) from error
    try:
        advertised = await find_addresses(settings)
        return Relay(settings, http, advertised)
    except (AddressUnknownError, NativeUnavailableError, UnusableFileError) as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(
            f"--listen {error.filename}: {error.strerror}: name an address of this machine and a "
            "free port; ports below 1024 need CAP_NET_BIND_SERVICE"
        ) from error


def _follow_admin_keys(relay: Relay) -> TokenVerifier | None:
    path = relay.settings.admin_keys_file
    if path is None:
        return None
    verifier = TokenVerifier({}, relay.settings.pod_uid)

    def take(text: str) -> dict[str, object]:
        verifier.keys = read_keys(text)
        return {"count": len(verifier.keys)}

    try:
        relay.followed.follow("--admin-keys-file", TextSource("admin_keys", path, take))
    except UnusableFileError as error:
        raise StartError(str(error)) from error
    return verifier


def _bind_http(flag: str, text: str, stack: AsyncExitStack) -> socket.socket:
    host, port = parse_address(text)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        raise StartError(
            f"{flag} {text}: {error.strerror}: choose another address, or port 0"
        ) from error
    stack.callback(bound.close)
    return bound


async def _serve_http(app: web.Application, bound: socket.socket, stack: AsyncExitStack) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=HTTP_SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, bound).start()


def _announce(relay: Relay, metrics: socket.socket, admin: socket.socket) -> None:
    line = {
        "event": "listening",
        "release": relay.release,
        "listen": relay.listening,
        "metrics": format_address(metrics.getsockname()[:2]),
        "admin": format_address(admin.getsockname()[:2]),
        "relayAddresses": list(relay.settings.relay_hosts),
        "addresses": [each.as_dict() for each in relay.advertised],
        "relayPorts": relay.settings.relay_ports,
        "realm": relay.settings.realm,
        "dataplane": relay.plane.name,
        "podUid": relay.settings.pod_uid,
    }
    print(json.dumps(line), flush=True)
    logger.info("datagrams are relayed as follows", extra={"dataplane": relay.plane.name})
    for each in relay.advertised:
        logger.info("relayed addresses are advertised as follows", extra=each.as_dict())


async def _wind_down(relay: Relay, at_once: asyncio.Event, grace: float) -> None:
    """A sealed relay ends at once; any other lets its sessions end by themselves first."""
    if relay.gate.state is Admission.SEALED:
        return
    relay.terminate()
    if not relay.server.allocations:
        return
    waits = [asyncio.ensure_future(event.wait()) for event in (relay.empty, at_once)]
    await asyncio.wait(waits, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)

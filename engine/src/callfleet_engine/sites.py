"""Ports that HTTP is served on."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from callfleet_engine.settings import Endpoint, InvalidSettings, flag

BACKLOG = 1024
SHUTDOWN_SECONDS = 3.0
"""For requests under way when the port closes."""


def bind(field: str, wanted: Endpoint) -> tuple[socket.socket, Endpoint]:
    """A bound socket and what it got: port 0 takes a free one. Raises InvalidSettings."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise InvalidSettings(
            f"{flag(field)}: cannot listen on {wanted}: {error.strerror or error}. Give another "
            "HOST:PORT; port 0 takes a free one."
        ) from error
    return bound, Endpoint(host=wanted.host, port=bound.getsockname()[1])


@asynccontextmanager
async def serving(
    app: web.Application,
    bound: socket.socket,
    over_tls: tuple[socket.socket, ssl.SSLContext] | None = None,
) -> AsyncIterator[None]:
    """Serve the application until left; the sockets are closed then."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        await web.SockSite(runner, bound, backlog=BACKLOG).start()
        if over_tls is not None:
            tls, context = over_tls
            await web.SockSite(runner, tls, ssl_context=context, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()

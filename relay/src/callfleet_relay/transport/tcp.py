"""TCP sockets on Linux."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from callfleet_relay.message import Address

logger = logging.getLogger(__name__)

BACKLOG = 1024
ACCEPTS = 64
"""Connections taken from one listener before others get their turn."""
PAUSE_SECONDS = 1.0
"""How long nothing is accepted once the process or the machine has no room for a connection."""
UNSENT_BYTES = 64 << 10
"""What the kernel takes of a stream beyond what is on its way: the rest waits where it is seen."""
USER_TIMEOUT_SECONDS = 30
"""How long sent bytes may go unacknowledged before the connection counts as broken (RFC 5482)."""

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def bind_tcp(host: str, port: int) -> socket.socket:
    """A non-blocking listening socket; IPv6 ones take no IPv4. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        error.filename = f"{host} port {port}"
        raise
    bound.setblocking(False)
    return bound


def bind_relayed(host: str, port: int, *, connects: bool) -> socket.socket:
    """A non-blocking socket on a relayed address: one that `connects`, or the one that listens.

    That one comes first and takes the port for itself, so that binding fails where another
    program has it; then it shares the port with those that connect. Raises OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, connects)
        bound.bind((host, port))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        bound.close()
        raise
    return bound


def tune(connection: socket.socket) -> None:
    """Media waits for nothing, and what cannot go soon is not queued out of sight."""
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    connection.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_SECONDS * 1000)
    )


class Acceptor:
    """Takes connections from one listening socket, and outlives every error of doing so."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        accepted: Callable[[socket.socket, Address], None],
    ) -> None:
        """`accepted` gets each connection and the address it comes from."""
        self.errors = 0
        self.bound = bound
        self._loop = loop
        self._accepted = accepted
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def close(self) -> None:
        """Close the socket."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.bound)
        self.bound.close()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self.bound, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, source = self.bound.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.errors += 1
                if error.errno not in _NO_ROOM:
                    continue  # of one connection that ended before it was taken: accept(2)
                logger.error(  # noqa: TRY400 - the machine's limit, not a bug: no trace
                    "no connection can be accepted for now: %s: raise the limit of open files "
                    "(ulimit -n), or lower --max-connections",
                    error.strerror,
                )
                self._loop.remove_reader(self.bound)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            self._accepted(connection, source[:2])

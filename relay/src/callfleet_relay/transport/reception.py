"""From the listening socket to a connection whose client is known, and its end.

Where it comes from a load balancer, the header that says who the client is comes first, before
TLS. Whatever a connection waits for has its deadline.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from callfleet_relay.events import FiveTuple
from callfleet_relay.message import Address
from callfleet_relay.transport.connection import Connection
from callfleet_relay.transport.connections import (
    ConnectionCount,
    ConnectionEnd,
    StreamFigures,
    StreamLimits,
    TrustedProxies,
)
from callfleet_relay.transport.proxy_protocol import ProxyHeaderError, ProxyHeaderReader
from callfleet_relay.transport.tcp import Acceptor, bind_tcp, tune
from callfleet_relay.transport.tls import Certificate

logger = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10.0
"""For the load balancer's header, and again for the TLS handshake."""
SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StreamListener:
    """Where to listen, and whether for TLS."""

    index: int
    """As `FiveTuple.listener` has it."""
    address: Address
    tls: bool

    @property
    def transport(self) -> str:
        """For figures."""
        return "tls" if self.tls else "tcp"


class Host(Protocol):
    """Whom connections are for."""

    def established(self, connection: Connection) -> None:
        """Its client is known: what comes now is the client's."""

    def ended(self, connection: Connection, cause: ConnectionEnd) -> None:
        """It is closed. Told of every connection that was established."""


class Reception:
    """All connections of the listeners: accepted, counted, timed and ended here."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[StreamListener],
        *,
        limits: StreamLimits,
        proxies: TrustedProxies,
        certificate: Certificate | None,
        host: Host,
    ) -> None:
        """`certificate`: for the TLS listeners. Raises OSError."""
        self.by_five_tuple: dict[FiveTuple, Connection] = {}
        self._loop = loop
        self._listen = {listener.index: listener for listener in listen}
        self._limits = limits
        self._proxies = proxies
        self._certificate = certificate
        self._host = host
        self._count = ConnectionCount(limits)
        self._figures = StreamFigures(Counter({listener.transport: 0 for listener in listen}))
        self._connections: set[Connection] = set()
        self._deadlines: dict[tuple[Connection, ConnectionEnd], float] = {}
        self._acceptors: list[Acceptor] = []
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        try:
            for listener in listen:
                bound = bind_tcp(*listener.address)
                self._acceptors.append(Acceptor(loop, bound, partial(self._accepted, listener)))
        except OSError:
            self.close()
            raise

    @property
    def listening(self) -> list[Address]:
        """Addresses of the listeners."""
        return [acceptor.bound.getsockname()[:2] for acceptor in self._acceptors]

    def figures(self) -> StreamFigures:
        """Totals up to now."""
        self._figures.accept_errors = sum(acceptor.errors for acceptor in self._acceptors)
        return self._figures

    def end_within(self, connection: Connection, seconds: float, cause: ConnectionEnd) -> None:
        """End it for this cause after so long, unless `spare` is called before."""
        self._deadlines[connection, cause] = time.monotonic() + seconds

    def spare(self, connection: Connection, cause: ConnectionEnd) -> None:
        """Do not end it for this cause."""
        self._deadlines.pop((connection, cause), None)

    def await_allocation(self, connection: Connection) -> None:
        """End it where it has none for too long."""
        self.end_within(connection, self._limits.idle_seconds, ConnectionEnd.IDLE)

    def end(self, connection: Connection, cause: ConnectionEnd, why: object = None) -> None:
        """Close a connection; `why` is for the log."""
        if connection.ended:
            return
        self._loop.remove_reader(connection.number)
        self._loop.remove_writer(connection.number)
        connection.close()
        for timed in ConnectionEnd:
            self.spare(connection, timed)
        self._connections.discard(connection)
        self._count.remove(connection.counted_host)
        self._figures.open[self._listen[connection.listener].transport] -= 1
        self._figures.closed[cause] += 1
        logger.debug(
            "connection ended: %s",
            why or cause,
            extra={"cause": cause, "client": connection.client},
        )
        if self.by_five_tuple.get(connection.five_tuple) is connection:
            self._host.ended(connection, cause)
            del self.by_five_tuple[connection.five_tuple]

    def close(self) -> None:
        """End everything."""
        self._sweeper.cancel()
        for acceptor in self._acceptors:
            acceptor.close()
        for connection in list(self._connections):
            self.end(connection, ConnectionEnd.TERMINATED)

    def _accepted(self, listener: StreamListener, accepted: socket.socket, source: Address) -> None:
        proxied = source[0] in self._proxies
        cause = None
        if not self._count.has_room:
            cause = ConnectionEnd.TOTAL_LIMIT
        elif not proxied and not self._count.has_room_for(source[0]):
            cause = ConnectionEnd.SOURCE_LIMIT
        if cause is not None:
            self._figures.closed[cause] += 1
            accepted.close()
            return
        connection = Connection(accepted, source, listener.index)
        self._connections.add(connection)
        self._count.add()
        self._figures.open[listener.transport] += 1
        try:
            tune(accepted)
        except OSError as error:
            self.end(connection, ConnectionEnd.RESET, error)
            return
        if proxied:
            self.end_within(connection, HANDSHAKE_SECONDS, ConnectionEnd.PROXY_HEADER)
            handler = partial(self._read_header, connection, ProxyHeaderReader())
            self._loop.add_reader(connection.number, handler)
        else:
            self._identified(connection)

    def _read_header(self, connection: Connection, header: ProxyHeaderReader) -> None:
        try:
            data = connection.socket.recv(header.wanted)
            header.feed(data)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(connection, ConnectionEnd.RESET, error)
            return
        except ProxyHeaderError as error:
            self.end(connection, ConnectionEnd.PROXY_HEADER, error)
            return
        if not data:
            self.end(connection, ConnectionEnd.CLOSED)
        elif header.is_complete:
            self.spare(connection, ConnectionEnd.PROXY_HEADER)
            if header.client is not None:
                connection.client = header.client
            if not self._count.has_room_for(connection.client[0]):
                self.end(connection, ConnectionEnd.SOURCE_LIMIT)
                return
            self._identified(connection)

    def _identified(self, connection: Connection) -> None:
        """Everything that comes from now on is the client's own."""
        connection.counted_host = connection.client[0]
        self._count.add_host(connection.counted_host)
        if not self._listen[connection.listener].tls:
            self.await_allocation(connection)
            self._establish(connection)
            return
        assert self._certificate is not None  # noqa: S101 - settings ask for one with tls://
        connection.tls = self._certificate.new_layer()
        self.end_within(connection, HANDSHAKE_SECONDS, ConnectionEnd.TLS)
        self._establish(connection)

    def _establish(self, connection: Connection) -> None:
        five_tuple = connection.five_tuple = FiveTuple(connection.listener, connection.client)
        if five_tuple in self.by_five_tuple:
            self.end(self.by_five_tuple[five_tuple], ConnectionEnd.REPLACED)
        self.by_five_tuple[five_tuple] = connection
        self._host.established(connection)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        now = time.monotonic()
        for connection, cause in [key for key, due in self._deadlines.items() if due <= now]:
            self.end(connection, cause)

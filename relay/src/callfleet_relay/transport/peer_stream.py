"""One TCP connection with a peer, and the client's connection that carries it (RFC 6062).

Nothing is read that cannot be passed on: what one end does not take stays in the kernel's buffers
of the other, and slows that one down.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol

from callfleet_relay.transport.connection import Connection
from callfleet_relay.transport.flow import Flow

CHUNK = 16 << 10
"""Bytes read from a peer before others get their turn: a TLS record."""
MAX_WAITING = 64 << 10
"""Bytes that may wait for a client before its peer is read no more."""
STALLED_SECONDS = 30.0
"""How long an end may take nothing of what waits for it."""


class ClientEnds(Protocol):
    """The plane that the clients' connections belong to."""

    def read_client(self, connection: Connection) -> None:
        """Read from a client again."""

    def spare_client(self, connection: Connection) -> None:
        """Read nothing from a client until then."""

    def write_soon(self, connection: Connection) -> None:
        """Send what waits for a client."""


class PeerStream:
    """A connection with a peer; `bind` gives it a client, `close` ends it."""

    __slots__ = (
        "_ended",
        "_is_reading",
        "_loop",
        "_out",
        "_plane",
        "_stall",
        "_wait_down",
        "_wait_up",
        "bound",
        "client",
        "flow",
        "has_ended",
        "number",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        plane: ClientEnds,
        flow: Flow,
        bound: socket.socket,
        *,
        number: int,
        ended: Callable[[PeerStream, bool], None],
    ) -> None:
        """`ended` is told when the peer has gone and all it sent was passed on, or when it took
        nothing for too long, which is True.
        """
        self.bound = bound
        self.number = number
        self.flow = flow
        self.client: Connection | None = None
        self.has_ended = False
        """The peer sends no more."""
        self._loop = loop
        self._plane = plane
        self._ended = ended
        self._out = bytearray()
        self._is_reading = False
        self._stall: asyncio.TimerHandle | None = None
        self._wait_up: asyncio.TimerHandle | None = None
        self._wait_down: asyncio.TimerHandle | None = None

    def bind(self, client: Connection) -> None:
        """Pass everything on from here."""
        self.client = client
        client.peer = self
        self._read_peer()

    def from_client(self, data: memoryview) -> None:
        """Send to the peer what its client has sent."""
        size = len(data)
        self.flow.traffic.bytes_from_client += size
        self._out += data
        self._write()
        if self.client is None:
            return
        limit = self.flow.upstream
        wait = limit.spend(size, time.monotonic()) if limit is not None else 0.0
        if wait:
            self._wait_up = self._loop.call_later(wait, self._waited_up)
        if wait or self._out:
            self._plane.spare_client(self.client)

    def client_took(self, connection: Connection) -> None:
        """The client has been sent something: see whether there is room for more."""
        if connection.waiting:
            return
        if self.has_ended:
            self._ended(self, False)
        elif self._wait_down is None:
            self._read_peer()

    def client_gone(self) -> None:
        """Send what its client has sent, then close."""
        self.client = None
        self._spare_peer()
        self.has_ended = True
        if not self._out:
            self._ended(self, False)

    def close(self) -> None:
        """Close the connection, whatever waits."""
        self._spare_peer()
        self._loop.remove_writer(self.bound)
        for timer in (self._stall, self._wait_up, self._wait_down):
            if timer is not None:
                timer.cancel()
        self.bound.close()

    def _read_peer(self) -> None:
        if not self._is_reading and not self.has_ended:
            self._is_reading = True
            self._loop.add_reader(self.bound, self._from_peer)

    def _spare_peer(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self.bound)

    def _from_peer(self) -> None:
        client = self.client
        assert client is not None  # noqa: S101 - nothing is read before there is one
        try:
            data = self.bound.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # broken off: what it sent before is passed on all the same
        if not data:
            self._spare_peer()
            self.has_ended = True
            self.client_took(client)
            return
        size = len(data)
        self.flow.traffic.bytes_to_client += size
        client.queue_raw(data)
        self._plane.write_soon(client)
        limit = self.flow.downstream
        wait = limit.spend(size, time.monotonic()) if limit is not None else 0.0
        if wait:
            self._wait_down = self._loop.call_later(wait, self._waited_down)
        if wait or client.waiting >= MAX_WAITING:
            self._spare_peer()

    def _write(self) -> None:
        try:
            sent = self.bound.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._out.clear()
            self._ended(self, False)
            return
        del self._out[:sent]
        if sent and self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if not self._out:
            self._loop.remove_writer(self.bound)
            self._drained()
        elif self._stall is None:
            self._stall = self._loop.call_later(STALLED_SECONDS, self._ended, self, True)
            self._loop.add_writer(self.bound, self._write)

    def _drained(self) -> None:
        if self.client is None:
            if self.has_ended:
                self._ended(self, False)
        elif self._wait_up is None:
            self._plane.read_client(self.client)

    def _waited_up(self) -> None:
        self._wait_up = None
        if not self._out:
            self._drained()

    def _waited_down(self) -> None:
        self._wait_down = None
        if self.client is not None and not self.client.waiting:
            self._read_peer()

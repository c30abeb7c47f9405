"""One UDP port for all peer connections of an engine, and its twin of the other address family.

Packets are told apart as LiveKit, mediasoup and Galene do it: connectivity checks by the ufrag in
their USERNAME, all others by the address that an authenticated check made known. What belongs to
nobody is dropped and counted, never answered.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import TYPE_CHECKING

from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.ice_lite import (
    CONSENT_SWEEPS,
    UFRAG_LENGTH,
    LiteConnection,
    ice_string,
)
from callfleet_engine.media.ice_lite import Side as AnySide
from callfleet_engine.media.interface import DROPPED, Dropped
from callfleet_engine.media.stun_check import (
    Address,
    MalformedStun,
    is_keepalive,
    local_ufrag,
)
from callfleet_engine.media.udp import UdpTransport

if TYPE_CHECKING:
    from callfleet_engine.media.srtp_keys import SrtpKeys

log = logging.getLogger(__name__)

CONSENT_SECONDS = 15.0
SOCKETS = 8
"""Of each family. The kernel bounds a socket's buffers, whatever the process asks for (Linux:
212,992 bytes as installed), and one such buffer for all participants holds a few milliseconds of
their media. Each client always comes to the same socket of the group (SO_REUSEPORT)."""

_TRIES_FOR_A_TWIN = 16
"""A free port of one family may be taken in the other."""


def free_port(address: str, port: int) -> int:
    """The port if nobody has it, else OSError; 0 finds one.

    Sockets that share a port would join another engine's on the node's network, unnoticed.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))
        bound: int = probe.getsockname()[1]
        return bound


@lru_cache(8)
def host_candidates(addresses: tuple[str, ...], port: int) -> tuple[Candidate, ...]:
    """A host candidate for each address, the same objects each time."""
    preferred = sorted(
        addresses, key=lambda address: ipaddress.ip_address(address).version, reverse=True
    )
    return tuple(
        Candidate(
            foundation=candidate_foundation("host", "udp", address),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host", local_pref=65535 - place),
            host=address,
            port=port,
            type="host",
        )
        for place, address in enumerate(preferred)
    )


class Side(asyncio.DatagramProtocol):
    """One socket of the port."""

    def __init__(self, port: MediaPort) -> None:
        self._port = port
        self._by_address = port.by_address
        self.sendto: Callable[[bytes | memoryview, Address], None]
        self.transport: UdpTransport
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is bound."""
        assert isinstance(transport, UdpTransport)  # noqa: S101 (nobody else makes one)
        self.transport = transport
        self.sendto = transport.sendto

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's)
        """The socket is closed."""
        self.closed.set()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Find the connection (RFC 7983 section 7 tells STUN from the rest)."""
        if data and data[0] > 3:
            connection = self._by_address.get(addr)
            if connection is not None:
                connection.datagram_received(data, addr)
            else:
                self._port.drop("unknown_source")
        else:
            self._port.stun_received(data, addr, self)

    def error_received(self, exc: Exception) -> None:
        """ICMP speaks of one peer, which its silence will show."""
        log.debug("UDP error on the media port: %s", exc)


class MediaPort:
    """The sockets and the two tables. Everything belongs to the event loop's thread."""

    def __init__(
        self,
        advertised: Callable[[], Sequence[Advertised]],
        *,
        consent_seconds: float = CONSENT_SECONDS,
    ) -> None:
        """`advertised`: the addresses of this moment; asked for each new connection.

        `consent_seconds`: silence after which a connected client is lost.
        """
        self._advertised = advertised
        self._interval = consent_seconds / CONSENT_SWEEPS
        self._sides: list[Side] = []
        self._by_ufrag: dict[bytes, LiteConnection] = {}
        self._connections: set[LiteConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._dropped: dict[Dropped, int] = dict.fromkeys(DROPPED, 0)
        self.by_address: dict[Address, LiteConnection] = {}
        self.sweeps = 0
        """The coarse clock of silence. Seconds in which this process did not run do not count:
        whatever came meanwhile waits in the socket."""

    def bind(self, addresses: Sequence[str], port: int) -> None:
        """Bind one port number on all addresses; 0 takes one that is free on all.

        Raises OSError if an address is not this host's or the port is taken.
        """
        for tries_left in reversed(range(_TRIES_FOR_A_TWIN)):
            try:
                self._bind(addresses, port)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or not tries_left:
                    raise
            else:
                break
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._sweep_on)

    def _bind(self, addresses: Sequence[str], port: int) -> None:
        sides: list[Side] = []
        try:
            for address in addresses:
                port = free_port(address, port)
                for _ in range(SOCKETS):
                    side = Side(self)
                    UdpTransport.bind(address, side, port, shared=True)
                    sides.append(side)
        except OSError:
            for side in sides:
                side.transport.close()
            raise
        self._sides = sides

    @property
    def number(self) -> int:
        """The port's number; 0 while it is not bound."""
        return self._sides[0].transport.address[1] if self._sides else 0

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def dropped(self) -> dict[Dropped, int]:
        """Datagrams that were not taken or not sent, by cause."""
        refused = sum(side.transport.dropped for side in self._sides)
        return {**self._dropped, "send_buffer": refused}

    def candidates(self) -> list[Candidate]:
        """A host candidate for each advertised address, IPv6 preferred (RFC 8421 section 4)."""
        return list(host_candidates(tuple(one.address for one in self._advertised()), self.number))

    async def close(self) -> None:
        """End all connections and free the port."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._connections):
            connection.end()
        async with AsyncExitStack() as stack:
            for side in self._sides:
                side.transport.close()
                stack.push_async_callback(side.closed.wait)
        self._sides = []

    # what connections use

    def new_ufrag(self, connection: LiteConnection) -> str:
        """A ufrag that no other connection of the port has."""
        while True:
            ufrag = ice_string(UFRAG_LENGTH)
            if self._by_ufrag.setdefault(ufrag.encode(), connection) is connection:
                self._connections.add(connection)
                return ufrag

    def forget_ufrag(self, ufrag: bytes) -> None:
        """Checks with it are of nobody from now on."""
        del self._by_ufrag[ufrag]

    def claim(self, address: Address, connection: LiteConnection) -> bool:
        """Give an address to a connection that authenticated itself from it.

        False if it is another's who was heard from there: whoever can write any source address
        and has credentials of their own must not take a session over with them.
        """
        owner = self.by_address.get(address)
        if owner is not None:
            if owner.heard_from(address):
                self.drop("address_in_use")
                return False
            owner.yield_address(address)
        self.by_address[address] = connection
        return True

    def release(self, address: Address) -> None:
        """The address is nobody's."""
        del self.by_address[address]

    def route(self, connection: LiteConnection, address: Address | None, side: AnySide) -> None:
        """The connection sends to this address from now on, from that socket; None: to nobody."""

    def serves(self, connection: LiteConnection, ufrag: bytes, password: bytes) -> None:
        """These credentials serve the connection from now on."""

    def keys_for(
        self,
        connection: LiteConnection,  # noqa: ARG002 (a port whose media is not ours is told)
    ) -> Callable[[SrtpKeys], None] | None:
        """Who is told the connection's keys; None where Python unprotects and protects."""
        return None

    def left(self, connection: LiteConnection) -> None:
        """The connection has ended."""
        self._connections.discard(connection)

    def drop(self, cause: Dropped) -> None:
        """Count a datagram that is not taken."""
        self._dropped[cause] += 1

    # what the sides use

    def stun_received(self, data: bytes, source: Address, side: AnySide) -> None:
        """Give a check to whom it is for."""
        try:
            if is_keepalive(data):
                return
            ufrag = local_ufrag(data)
            connection = self._by_ufrag.get(ufrag)
            if connection is None:
                self.drop("unknown_ufrag")
                return
            connection.check_received(data, source, ufrag, side)
        except MalformedStun as error:
            self.drop("malformed")
            log.debug("STUN from %s dropped: %s", source[0], error)

    def _sweep_on(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._sweep_on)
        self.sweep()

    def sweep(self) -> None:
        """The coarse clock goes on: who is silent for too long ends."""
        self.sweeps += 1
        for connection in list(self._connections):
            connection.sweep()

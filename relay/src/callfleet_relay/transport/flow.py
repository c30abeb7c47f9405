"""What a data plane knows of a session, and of the sockets at both of its ends."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from callfleet_relay.allocation import family_of
from callfleet_relay.message import Address
from callfleet_relay.peers import Ports
from callfleet_relay.quota import RateLimit
from callfleet_relay.transport.dataplane import Traffic
from callfleet_relay.transport.udp import socket_address

SocketAddress = Any
"""What recvfrom gives: two items for IPv4, four for IPv6; or a connection."""
Send = Callable[[bytes | memoryview, SocketAddress], int]
Channel = tuple[Send, SocketAddress]
"""How the peer of a channel is reached: by which socket, at which address."""


class ClientSide(Protocol):
    """Where clients come from, and how they are reached."""

    flows: dict[Any, Flow]
    """By what `client` gives."""

    expected: dict[Any, Flow]
    """Flows whose client is about to come from here, in the same way."""

    def client(self, address: Address) -> SocketAddress:
        """The client of this address, as `send` and `flows` know it."""

    def send(self, data: bytes | memoryview, client: SocketAddress, /) -> object:
        """Send one message. Raises OSError where it is lost."""


class Listener:
    """One listening UDP socket and the flows of its clients."""

    __slots__ = ("bound", "drops_seen", "expected", "flows", "index", "send")

    def __init__(self, index: int, bound: socket.socket) -> None:
        self.index = index
        self.bound = bound
        self.flows: dict[SocketAddress, Flow] = {}
        self.expected: dict[SocketAddress, Flow] = {}
        self.drops_seen = 0
        self.send = bound.sendto

    def client(self, address: Address) -> SocketAddress:
        return socket_address(self.bound.family, address)


class RelaySocket:
    """One relayed address of a session."""

    __slots__ = ("bound", "drops_seen", "send")

    def __init__(self, bound: socket.socket) -> None:
        self.bound = bound
        self.drops_seen = 0
        self.send: Send = bound.sendto

    def channel(self, peer: Address) -> Channel:
        """How a peer is reached from here."""
        return self.send, socket_address(self.bound.family, peer)


class Flow:
    """One session's tables, kept small: there are thousands."""

    __slots__ = (
        "channels",
        "client",
        "downstream",
        "expected",
        "hosts",
        "listener",
        "numbers",
        "relays",
        "session",
        "traffic",
        "upstream",
        "user",
    )

    def __init__(
        self,
        session: int,
        listener: ClientSide,
        client: SocketAddress,
        relays: dict[int, RelaySocket],
    ) -> None:
        self.session = session
        self.listener = listener
        self.client = client
        self.relays = relays
        """By family."""
        self.channels: dict[int, Channel] = {}
        self.numbers: dict[SocketAddress, int] = {}
        self.hosts: dict[str, Ports] = {}
        self.traffic = Traffic()
        self.upstream: RateLimit = None
        self.downstream: RateLimit = None
        self.user = ""
        self.expected: tuple[ClientSide, SocketAddress] | None = None
        """Where its client is about to come from as well."""

    def relay_to(self, peer: Address) -> RelaySocket:
        """The socket of this peer's family."""
        return self.relays[family_of(peer[0])]

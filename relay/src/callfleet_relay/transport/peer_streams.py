"""TCP sockets of relayed addresses: those that listen, and the connections with peers."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from callfleet_relay.allocation import family_of
from callfleet_relay.events import AdmitPeer, ConnectPeer, OpenRelay
from callfleet_relay.message import Address
from callfleet_relay.transport.connection import Connection
from callfleet_relay.transport.flow import Flow
from callfleet_relay.transport.peer_stream import ClientEnds, PeerStream
from callfleet_relay.transport.tcp import Acceptor, bind_relayed, tune
from callfleet_relay.transport.udp import socket_address

logger = logging.getLogger(__name__)


class PeerReceiver(Protocol):
    """Who is told of connections with peers: the protocol core."""

    def connected(self, number: int) -> None:
        """The peer of a `ConnectPeer` is there."""

    def failed(self, number: int) -> None:
        """The peer of a `ConnectPeer` cannot be reached."""

    def accepted(self, session: int, peer: Address) -> None:
        """A peer has connected; unless `AdmitPeer` comes of this call it is closed."""

    def closed(self, number: int) -> None:
        """A connection has ended."""


class ClientHost(ClientEnds, Protocol):
    """The plane, which can end a client's connection too."""

    def end_client(self, connection: Connection, *, stalled: bool) -> None:
        """Close a client's connection whose peer has gone, or takes nothing."""


@dataclass(slots=True)
class _Session:
    flow: Flow
    acceptors: dict[int, Acceptor]
    """By family."""
    port: int
    streams: dict[int, PeerStream] = field(default_factory=dict)
    arrived: dict[Address, socket.socket] = field(default_factory=dict)
    """Accepted, and not yet admitted."""


class PeerStreams:
    """All sessions that relay TCP."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        plane: ClientHost,
        hosts: Mapping[int, str],
        receiver: PeerReceiver,
    ) -> None:
        """`hosts`: of relayed addresses, by family."""
        self._loop = loop
        self._plane = plane
        self._hosts = hosts
        self._receiver = receiver
        self._bound: dict[int, dict[int, socket.socket]] = {}
        self._sessions: dict[int, _Session] = {}

    def bind(self, event: OpenRelay) -> bool:
        """Listen on a new session's port, for each of its families or for none."""
        bound: dict[int, socket.socket] = {}
        try:
            for family in event.families:
                bound[family] = bind_relayed(self._hosts[family], event.port, connects=False)
                bound[family].listen()
        except OSError as error:
            for each in bound.values():
                each.close()
            if error.errno != errno.EADDRINUSE:
                logger.warning("relay socket refused: %s", error, extra={"port": event.port})
            return False
        self._bound[event.session] = bound
        return True

    def open(self, event: OpenRelay, flow: Flow) -> None:
        """Accept peers of a session for which `bind` was called."""
        acceptors = {
            family: Acceptor(self._loop, bound, partial(self._accepted, event.session))
            for family, bound in self._bound.pop(event.session).items()
        }
        self._sessions[event.session] = _Session(flow, acceptors, event.port)

    def connect(self, event: ConnectPeer) -> None:
        """See `ConnectPeer`."""
        session = self._sessions[event.session]
        host = self._hosts[family_of(event.peer[0])]
        if event.peer == (host, session.port):
            self._receiver.failed(event.connection)  # a socket would connect to itself
            return
        try:
            bound = bind_relayed(host, session.port, connects=True)
        except OSError as error:
            logger.warning("no connection from a relayed address: %s", error)
            self._receiver.failed(event.connection)
            return
        self._add(session, bound, event.connection)
        code = bound.connect_ex(socket_address(bound.family, event.peer))
        if code in {0, errno.EINPROGRESS}:
            self._loop.add_writer(bound, self._attempted, event.session, event.connection)
        else:
            self._forget(event.session, event.connection)
            self._receiver.failed(event.connection)

    def admit(self, event: AdmitPeer) -> None:
        """See `AdmitPeer`."""
        session = self._sessions[event.session]
        self._add(session, session.arrived.pop(event.peer), event.connection)

    def attach(self, session: int, number: int, client: Connection) -> None:
        """Bind a client's connection to a peer's."""
        self._sessions[session].streams[number].bind(client)

    def close(self, session: int, number: int) -> None:
        """See `ClosePeer`."""
        stream = self._forget(session, number)
        if stream is not None and stream.client is not None:
            stream.client.peer = None
            self._plane.end_client(stream.client, stalled=False)

    def close_family(self, session: int, family: int) -> None:
        """Take no more peers of this family."""
        self._sessions[session].acceptors.pop(family).close()

    def close_session(self, session: int) -> None:
        """Close everything of a session; a session without any is passed over."""
        known = self._sessions.get(session)
        if known is None:
            return
        for acceptor in known.acceptors.values():
            acceptor.close()
        for number in list(known.streams):
            self.close(session, number)
        del self._sessions[session]

    def _accepted(self, session: int, accepted: socket.socket, peer: Address) -> None:
        known = self._sessions[session]
        known.arrived[peer] = accepted
        self._receiver.accepted(session, peer)
        if known.arrived.pop(peer, None) is not None:
            accepted.close()

    def _attempted(self, session: int, number: int) -> None:
        stream = self._sessions[session].streams[number]
        self._loop.remove_writer(stream.bound)
        if stream.bound.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._forget(session, number)
            self._receiver.failed(number)
        else:
            self._receiver.connected(number)

    def _add(self, session: _Session, bound: socket.socket, number: int) -> None:
        tune(bound)
        stream = PeerStream(
            self._loop, self._plane, session.flow, bound, number=number, ended=self._ended
        )
        session.streams[number] = stream

    def _ended(self, stream: PeerStream, stalled: bool) -> None:
        self._forget(stream.flow.session, stream.number)
        client, stream.client = stream.client, None
        if client is not None:
            client.peer = None
            self._plane.end_client(client, stalled=stalled)
        self._receiver.closed(stream.number)

    def _forget(self, session: int, number: int) -> PeerStream | None:
        stream = self._sessions[session].streams.pop(number, None)
        if stream is not None:
            stream.close()
        return stream

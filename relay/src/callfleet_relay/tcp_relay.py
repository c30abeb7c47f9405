"""TCP allocations: what Connect and ConnectionBind do, and what peers may (RFC 6062 section 5)."""

from __future__ import annotations

from secrets import token_bytes

from callfleet_relay.allocation import Allocation, AllocationTable
from callfleet_relay.answers import Answers
from callfleet_relay.auth import Authenticated, Instant
from callfleet_relay.errors import ErrorCode, RequestError, bad_request, forbidden, no_capacity
from callfleet_relay.events import (
    AdmitPeer,
    BindPeer,
    ClosePeer,
    ConnectPeer,
    Event,
    FiveTuple,
    Outcome,
    PeerDenied,
    Reply,
)
from callfleet_relay.message import Address, Attribute, Message, connection_attempt
from callfleet_relay.peer_connections import PeerConnection, PeerConnections, PeerResult
from callfleet_relay.peers import PeerPolicy
from callfleet_relay.requests import read_connection, read_peers


class TcpRelay:
    """All TCP connections of one relay's allocations.

    A Connect is asked of the peer policy alone: it names its peer and is signed, as a
    CreatePermission is. What a peer begins needs the client's permission too.
    """

    def __init__(
        self,
        *,
        answers: Answers,
        table: AllocationTable,
        policy: PeerPolicy,
        streams: frozenset[int],
        limit: int,
    ) -> None:
        """`streams`: listeners whose clients have TCP or TLS; `limit`: connections in all."""
        self.connections = PeerConnections(limit)
        self._answers = answers
        self._table = table
        self._policy = policy
        self._streams = streams

    def allocation_of(self, request: Message) -> Allocation | None:
        """The allocation that a ConnectionBind is about."""
        value = request.first(Attribute.CONNECTION_ID)
        known = None if value is None else self.connections.get(int.from_bytes(value, "big"))
        return self._table.of_session(known.session) if known else None

    def connect(
        self, request: Message, allocation: Allocation, who: Authenticated, now: Instant
    ) -> None:
        """Connect: the answer follows once the peer has been reached. Raises `RequestError`."""
        if not allocation.tcp:
            raise bad_request()
        peer = read_peers(request, allocation.families)[0]
        results = self.connections.results
        if self.connections.with_peer(allocation.session, peer):
            raise RequestError(ErrorCode.CONNECTION_EXISTS)
        if not self._policy.allows(peer):
            results[PeerResult.DENIED] += 1
            self._answers.events.append(PeerDenied(allocation.session, peer[0]))
            raise forbidden()
        if not self.connections.has_room(allocation.session):
            results[PeerResult.LIMIT] += 1
            raise no_capacity(Outcome.CAPACITY)
        made = self.connections.add(allocation.session, peer, now.monotonic, (request, who))
        self._answers.events.append(ConnectPeer(allocation.session, made.number, peer))

    def connected(self, number: int, now: Instant) -> list[Event]:
        """A peer was reached."""
        connection = self.connections.get(number)
        if connection is not None and connection.asked is not None:
            request, who = connection.asked
            self.connections.connected(connection, now.monotonic)
            self.connections.results[PeerResult.CONNECTED] += 1
            value = (int(Attribute.CONNECTION_ID), number.to_bytes(4, "big"))
            self._answers.succeed(request, self._five_tuple(connection), who, [value])
        return self._answers.take()

    def failed(self, number: int) -> list[Event]:
        """A peer was not reached."""
        connection = self.connections.get(number)
        if connection is not None:
            self._fail(connection)
        return self._answers.take()

    def accepted(self, session: int, peer: Address, now: Instant) -> list[Event]:
        """A peer has connected to a relayed address: without an `AdmitPeer` it is to be closed."""
        allocation = self._table.of_session(session)
        if allocation is None:
            return []
        if not (
            allocation.permissions.permits(peer[0], now.monotonic) and self._policy.allows(peer)
        ):
            self.connections.results[PeerResult.DENIED] += 1
            return []
        known = self.connections.with_peer(session, peer)
        if known is not None or not self.connections.has_room(session):
            self.connections.results[PeerResult.LIMIT] += 1
            return []
        made = self.connections.add(session, peer, now.monotonic)
        self.connections.results[PeerResult.ACCEPTED] += 1
        attempt = connection_attempt(made.number, peer, token_bytes(12))
        return [AdmitPeer(session, made.number, peer), Reply(allocation.five_tuple, attempt)]

    def bind(self, request: Message, five_tuple: FiveTuple, who: Authenticated) -> None:
        """ConnectionBind: the client's connection carries the peer's. Raises `RequestError`."""
        connection = self.connections.get(read_connection(request))
        if five_tuple.listener not in self._streams or self._table.get(five_tuple):
            raise bad_request()
        if connection is None or not connection.is_waiting:
            raise bad_request()
        allocation = self._table.of_session(connection.session)
        if allocation is None or allocation.principal.username != who.principal.username:
            # As if there were none: whose connections there are is nobody's business.
            raise bad_request()
        self.connections.bound(connection)
        value = (int(Attribute.CONNECTION_ID), connection.number.to_bytes(4, "big"))
        self._answers.succeed(request, five_tuple, who, [value])
        self._answers.events.append(BindPeer(connection.session, connection.number, five_tuple))

    def closed(self, number: int) -> None:
        """Either end of a connection has gone."""
        connection = self.connections.get(number)
        if connection is not None:
            self.connections.remove(connection)

    def session_ended(self, session: int) -> None:
        """Its connections end with it."""
        for connection in self.connections.of_session(session):
            self.connections.remove(connection)

    def end_denied(self, session: int) -> None:
        """End connections with peers that the policy does not open (any more)."""
        for connection in self.connections.of_session(session):
            if not self._policy.allows(connection.peer):
                self.connections.results[PeerResult.DENIED] += 1
                self._close(connection)

    def expire(self, now: float) -> None:
        """End what has waited for too long, for its peer or for its client."""
        for connection in self.connections.due(now):
            if connection.asked is None:
                self.connections.results[PeerResult.UNBOUND] += 1
                self._close(connection)
                continue
            self._answers.events.append(ClosePeer(connection.session, connection.number))
            self._fail(connection)

    def _fail(self, connection: PeerConnection) -> None:
        self.connections.results[PeerResult.FAILED] += 1
        if connection.asked is not None:
            request, who = connection.asked
            error = RequestError(ErrorCode.CONNECTION_FAILED)
            self._answers.refuse(request, self._five_tuple(connection), error, who)
        self.connections.remove(connection)

    def _close(self, connection: PeerConnection) -> None:
        self._answers.events.append(ClosePeer(connection.session, connection.number))
        if connection.asked is not None:
            request, who = connection.asked
            self._answers.refuse(request, self._five_tuple(connection), forbidden(), who)
        self.connections.remove(connection)

    def _five_tuple(self, connection: PeerConnection) -> FiveTuple:
        allocation = self._table.of_session(connection.session)
        assert allocation is not None  # noqa: S101 - connections end with their allocation
        return allocation.five_tuple

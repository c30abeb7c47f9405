"""The TURN server as a state machine: datagrams and time in, events out.

It does no I/O. Everything that happens is told by events, in their order, as the return value of
the call that made it happen. `next_timer` says when `handle_timer` is due. ChannelData and what
peers send do not pass through here: a data plane relays them by the tables that `Permit`,
`Forbid`, `BindChannel` and `UnbindChannel` describe. RFC 8489 and RFC 8656.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aioice.stun import Class, Method

from callfleet_relay import replies
from callfleet_relay.allocation import Allocation, AllocationTable, RelayedHost, granted_lifetime
from callfleet_relay.allocator import Allocator
from callfleet_relay.answers import Answers
from callfleet_relay.auth import Authenticated, AuthenticationError, Authenticator, Instant
from callfleet_relay.drain import AdmissionGate
from callfleet_relay.errors import (
    ErrorCode,
    RequestError,
    allocation_mismatch,
    no_capacity,
    unauthenticated,
)
from callfleet_relay.events import (
    Drop,
    Dropped,
    Event,
    FiveTuple,
    Outcome,
    Permit,
    Reply,
    SessionEnd,
    SessionEnded,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    IcmpError,
    MalformedMessageError,
    Message,
    TcpMethod,
    parse,
)
from callfleet_relay.mobility import Mobility
from callfleet_relay.peer_access import PeerAccess
from callfleet_relay.peers import PeerEntry, PeerPolicy
from callfleet_relay.ports import RelayPorts
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.rates import PrefixRate
from callfleet_relay.requests import check_known, read_lifetime, read_refresh_families
from callfleet_relay.tcp_relay import TcpRelay
from callfleet_relay.tickets import Tickets

Handler = Callable[[Message, Allocation, Authenticated, Instant], None]


class TurnServer:
    """All allocations of one relay, and the rules they live by."""

    def __init__(
        self,
        *,
        relayed: Sequence[RelayedHost],
        authenticator: Authenticator,
        policy: PeerPolicy,
        ports: RelayPorts,
        quota: AllocationQuota,
        gate: AdmissionGate,
        credential_grace: float,
        reply_rate: PrefixRate | None = None,
        allocation_rate: PrefixRate | None = None,
        dont_fragment: bool = True,
        streams: frozenset[int] = frozenset(),
        max_peer_connections: int = 0,
        tickets: Tickets | None = None,
    ) -> None:
        """`relayed`: the host of each family; `credential_grace`: seconds an allocation outlives
        its credential.

        `reply_rate`: of answers to strangers; `allocation_rate`: of Allocates of one client
        address. `dont_fragment`: whether the data plane can send with the DF bit. `streams`:
        listeners whose clients have TCP or TLS. `max_peer_connections`: of TCP allocations; with
        none there are no such allocations. `tickets`: for clients that may move.
        """
        self.authenticator = authenticator
        self.policy = policy
        self.quota = quota
        self.gate = gate
        self._allocator = Allocator(
            relayed=relayed,
            ports=ports,
            quota=quota,
            gate=gate,
            rate=allocation_rate,
            credential_grace=credential_grace,
            tcp_relay=max_peer_connections > 0,
            streams=streams,
            tickets=tickets,
        )
        self._answers = Answers(reply_rate)
        self._unsupported = frozenset[int](() if dont_fragment else (Attribute.DONT_FRAGMENT,))
        self._table = AllocationTable()
        self._mobility = Mobility(tickets, self._table, streams)
        self._access = PeerAccess(
            answers=self._answers,
            table=self._table,
            policy=policy,
            unsupported=self._unsupported,
        )
        self.tcp = TcpRelay(
            answers=self._answers,
            table=self._table,
            policy=policy,
            streams=streams,
            limit=max_peer_connections,
        )
        self._handlers: dict[int, Handler] = {
            Method.REFRESH: self._refresh,
            Method.CREATE_PERMISSION: self._access.create_permission,
            Method.CHANNEL_BIND: self._access.channel_bind,
        }
        self._methods: set[int] = {Method.ALLOCATE, *self._handlers}
        if max_peer_connections:
            self._handlers[TcpMethod.CONNECT] = self.tcp.connect
            self._methods |= {TcpMethod.CONNECT, TcpMethod.CONNECTION_BIND}

    @property
    def allocations(self) -> int:
        """Allocations that exist or are being made."""
        return len(self._table) + len(self._allocator.openings)

    def receive(self, data: bytes, five_tuple: FiveTuple, now: Instant) -> list[Event]:
        """Handle one STUN datagram of a client."""
        try:
            message = parse(data)
        except MalformedMessageError:
            return [Dropped(Drop.MALFORMED)]
        if message.message_class is Class.REQUEST:
            self._request(message, five_tuple, now)
        elif message.message_class is Class.INDICATION and message.method == Method.SEND:
            allocation = self._table.get(five_tuple)
            self._answers.events += self._mobility.arrived(allocation, five_tuple)
            self._access.send(message, allocation, now)
        return self._answers.take()

    def relay_opened(self, session: int, now: Instant) -> list[Event]:
        """The socket of an `OpenRelay` is bound: the allocation exists from here."""
        opening = self._allocator.openings[session]
        allocation = self._allocator.opened(session, now)
        self._table.add(allocation)
        for other, peer in self.policy.relayed.opened(allocation.port):
            owner = self._table.of_session(other)
            self._answers.events += owner.unbind(peer) if owner else []
        self._answers.events.append(Reply(allocation.five_tuple, allocation.reply))
        self._answers.count(opening.request, opening.five_tuple, Outcome.OK, opening.who)
        return self._answers.take()

    def relay_refused(self, session: int) -> list[Event]:
        """The port of an `OpenRelay` is taken by somebody else: another one, or 508."""
        again = self._allocator.try_another(session)
        if again is not None:
            return [again]
        opening = self._allocator.give_up(session)
        error = no_capacity(Outcome.PORT_EXHAUSTED)
        self._answers.refuse(opening.request, opening.five_tuple, error, opening.who)
        return self._answers.take()

    def icmp_received(self, session: int, error: IcmpError, now: Instant) -> list[Event]:
        """What was sent to a peer came back as an ICMP error: the client may be told."""
        allocation = self._table.of_session(session)
        return [] if allocation is None else allocation.tell(error, now.monotonic)

    def client_arrived(self, session: int, five_tuple: FiveTuple) -> list[Event]:
        """ChannelData has come from the 5-tuple of an `ExpectClient`."""
        return self._mobility.arrived(self._table.of_session(session), five_tuple)

    def next_timer(self) -> float | None:
        """Monotonic time at which `handle_timer` is due, or None."""
        timers = (
            self._table.next_timer(),
            self._allocator.reservations.next_expiry(),
            self.tcp.connections.next_timer(),
        )
        return min((each for each in timers if each is not None), default=None)

    def handle_timer(self, now: Instant) -> list[Event]:
        """End what is over: allocations, permissions, channels, reserved ports."""
        self._allocator.expire(now.monotonic)
        self.tcp.expire(now.monotonic)
        for allocation in self._table.take_due(now.monotonic):
            cause = allocation.end_at(now.monotonic)
            if cause is not None:
                self._end(allocation, cause, now)
                continue
            self._answers.events += allocation.expire(now.monotonic)
            self._table.set_timer(allocation)
        return self._answers.take()

    def replace_alternatives(self, addresses: Iterable[Address]) -> None:
        """Servers that clients are sent to while this one takes no allocations (300)."""
        self._allocator.replace_alternatives(addresses)

    def replace_peers(self, entries: Iterable[PeerEntry]) -> list[Event]:
        """Take a new pushed list; what it no longer opens ends at once."""
        self.policy.replace_pushed(entries)
        for allocation in self._table:
            permissions = allocation.permissions
            self.tcp.end_denied(allocation.session)
            denied = permissions.denied(self.policy.ports, self.policy.allows)
            self._answers.events += allocation.end_permissions(*denied)
            self._answers.events.extend(
                Permit(allocation.session, host, self.policy.ports(host))
                for host in permissions.hosts
            )
        return self._answers.take()

    def client_gone(self, five_tuple: FiveTuple, cause: SessionEnd, now: Instant) -> list[Event]:
        """The stream to a client has ended, and with it the allocation that it had."""
        allocation = self._table.get(five_tuple)
        if allocation is not None:
            self._end(allocation, cause, now)
        return self._answers.take()

    def end_all(self, cause: SessionEnd, now: Instant) -> list[Event]:
        """End every allocation."""
        for allocation in self._table:
            self._end(allocation, cause, now)
        return self._answers.take()

    def seal(self, drain_id: str) -> None:
        """Close for good when empty. Raises `AdmissionConflictError`."""
        self.gate.seal(drain_id, self.allocations)

    def _request(self, request: Message, five_tuple: FiveTuple, now: Instant) -> None:
        if request.method == Method.BINDING:
            self._binding(request, five_tuple, now)
            return
        if request.method not in self._methods:
            self._answers.events.append(Dropped(Drop.MALFORMED))
            return
        allocation = self._table.get(five_tuple)
        try:
            who = self._authenticate(request, five_tuple, allocation, now)
        except AuthenticationError as error:
            challenge = self.authenticator.challenge(five_tuple.client, now)
            answer = unauthenticated(error.refusal, challenge)
            self._answers.refuse_stranger(request, five_tuple, answer, now)
            return
        try:
            check_known(request, self._unsupported)
            if request.method == Method.ALLOCATE:
                self._allocate(request, five_tuple, who, allocation, now)
            elif request.method == TcpMethod.CONNECTION_BIND:
                self.tcp.bind(request, five_tuple, who)
            elif request.method == Method.REFRESH and not request.lacks(Attribute.MOBILITY_TICKET):
                self._move(request, five_tuple, who, now)
            else:
                owned = _owned_by(allocation, who)
                self._answers.events += self._mobility.arrived(owned, five_tuple)
                self._handlers[request.method](request, owned, who, now)
        except RequestError as error:
            self._answers.refuse(request, five_tuple, error, who)

    def _authenticate(
        self,
        request: Message,
        five_tuple: FiveTuple,
        allocation: Allocation | None,
        now: Instant,
    ) -> Authenticated:
        """Who sent a request. Raises `AuthenticationError`.

        A ConnectionBind comes on a connection of its own, with credentials and nonce of another
        one from the same host (RFC 6062 section 4.3), and who moves comes from a new 5-tuple.
        """
        clients = [five_tuple.client]
        if request.method == TcpMethod.CONNECTION_BIND and allocation is None:
            allocation = self.tcp.allocation_of(request)
            if allocation and allocation.five_tuple.client[0] == five_tuple.client[0]:
                clients.append(allocation.five_tuple.client)
        elif request.method == Method.REFRESH and allocation is None:
            allocation = self._mobility.allocation_of(request)
        known = allocation.principal if allocation else None
        return self.authenticator.authenticate(request, clients, now, known)

    def _binding(self, request: Message, five_tuple: FiveTuple, now: Instant) -> None:
        try:
            check_known(request)
        except RequestError as error:
            self._answers.refuse_stranger(request, five_tuple, error, now)
        else:
            self._answers.answer_stranger(
                five_tuple, replies.bound(request, five_tuple.client), now
            )

    def _allocate(
        self,
        request: Message,
        five_tuple: FiveTuple,
        who: Authenticated,
        existing: Allocation | None,
        now: Instant,
    ) -> None:
        if existing is not None:
            if existing.transaction_id != request.transaction_id:
                raise allocation_mismatch()
            self._answers.events.append(Reply(five_tuple, existing.reply))
        elif not self._allocator.is_opening(five_tuple):
            self._answers.events.append(self._allocator.begin(request, five_tuple, who, now))

    def _move(
        self, request: Message, five_tuple: FiveTuple, who: Authenticated, now: Instant
    ) -> None:
        """A Refresh with a mobility ticket (RFC 8016 section 3.2)."""
        owned = self._mobility.allocation_of(request)
        if owned is not None:
            _owned_by(owned, who)
            read_refresh_families(request, owned.families)
        read_lifetime(request)
        allocation, events = self._mobility.begin(request, five_tuple)
        self._answers.events += events
        ticket = self._mobility.attributes(allocation)
        granted = self._extend(request, allocation, now)
        self._answers.succeed(request, five_tuple, who, [granted, *ticket])

    def _refresh(
        self, request: Message, allocation: Allocation, who: Authenticated, now: Instant
    ) -> None:
        granted = self._extend(request, allocation, now)
        self._answers.succeed(request, allocation.five_tuple, who, [granted])

    def _extend(self, request: Message, allocation: Allocation, now: Instant) -> tuple[int, bytes]:
        """Let an allocation, or one of its addresses, live longer or end; its LIFETIME."""
        families = read_refresh_families(request, allocation.families)
        requested = read_lifetime(request)
        lifetime = 0
        if requested != 0:
            lifetime = granted_lifetime(requested, allocation.credential_ends, now)
            allocation.expires.update(dict.fromkeys(families, now.monotonic + lifetime))
            self._table.set_timer(allocation)
        elif families == allocation.families:
            self._end(allocation, SessionEnd.DELETED, now)
        else:
            for family in families:
                self._answers.events += allocation.close(family)
        return replies.lifetime_attribute(lifetime)

    def _end(self, allocation: Allocation, cause: SessionEnd, now: Instant) -> None:
        self._table.remove(allocation)
        self.tcp.session_ended(allocation.session)
        self._allocator.release(allocation)
        self.policy.relayed.closed(allocation.session, allocation.port)
        ended = SessionEnded(
            session=allocation.session,
            five_tuple=allocation.five_tuple,
            cause=cause,
            user=allocation.principal.user,
            port=allocation.port,
            families=tuple(sorted(allocation.families)),
            seconds=now.monotonic - allocation.started,
        )
        self._answers.events.append(ended)


def _owned_by(allocation: Allocation | None, who: Authenticated) -> Allocation:
    if allocation is None:
        raise allocation_mismatch()
    if who.principal.username != allocation.principal.username:
        raise RequestError(ErrorCode.WRONG_CREDENTIALS)
    return allocation

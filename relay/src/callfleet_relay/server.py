"""The TURN server as a state machine: datagrams and time in, events out.

It does no I/O. Everything that happens is told by events, in their order, as the return value of
the call that made it happen. `next_timer` says when `handle_timer` is due. ChannelData and what
peers send do not pass through here: a data plane relays them by the tables that `Permit`,
`Forbid`, `BindChannel` and `UnbindChannel` describe. RFC 8489 and RFC 8656.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aioice.stun import Class, Method

from callfleet_relay import replies
from callfleet_relay.allocation import (
    Allocation,
    AllocationTable,
    credential_end,
    granted_lifetime,
)
from callfleet_relay.auth import AuthenticationError, Authenticator, Instant, Principal
from callfleet_relay.drain import AdmissionGate
from callfleet_relay.events import (
    AllocateAnswered,
    BindChannel,
    Drop,
    Dropped,
    Event,
    FiveTuple,
    OpenRelay,
    Outcome,
    PeerDenied,
    Permit,
    Reply,
    SendToPeer,
    SessionEnd,
    SessionEnded,
)
from callfleet_relay.message import MalformedMessageError, Message, parse
from callfleet_relay.peers import PeerEntry, PeerPolicy
from callfleet_relay.ports import RelayPorts
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.recent import RecentKeys
from callfleet_relay.requests import (
    AllocateRequest,
    RequestError,
    bad_request,
    check_known,
    check_refresh_family,
    no_capacity,
    read_allocate,
    read_channel,
    read_lifetime,
    read_peers,
    read_send,
    unauthenticated,
)

MAX_PORT_ATTEMPTS = 16
"""Ports tried for one Allocate where other programs hold some of the range."""


@dataclass(frozen=True, slots=True)
class RelayedHost:
    """The host part of relayed transport addresses."""

    host: str
    """As clients and their peers see it."""
    family: int
    """4 or 6."""


@dataclass(slots=True)
class _Opening:
    """An Allocate that waits for its relay socket."""

    request: Message
    five_tuple: FiveTuple
    principal: Principal
    wanted: AllocateRequest
    port: int
    attempts: int = 1


class TurnServer:
    """All allocations of one relay, and the rules they live by."""

    def __init__(
        self,
        *,
        relayed: RelayedHost,
        authenticator: Authenticator,
        policy: PeerPolicy,
        ports: RelayPorts,
        quota: AllocationQuota,
        gate: AdmissionGate,
        credential_grace: float,
    ) -> None:
        """`credential_grace`: seconds an allocation outlives its credential."""
        self.authenticator = authenticator
        self.policy = policy
        self.quota = quota
        self.gate = gate
        self._relayed = relayed
        self._ports = ports
        self._grace = credential_grace
        self._table = AllocationTable()
        self._opening: dict[int, _Opening] = {}
        self._last_session = 0
        self._answered = RecentKeys()
        self._events: list[Event] = []
        self._handlers: dict[int, Callable[[Message, Allocation, Instant], None]] = {
            Method.REFRESH: self._refresh,
            Method.CREATE_PERMISSION: self._create_permission,
            Method.CHANNEL_BIND: self._channel_bind,
        }

    @property
    def allocations(self) -> int:
        """Allocations that exist or are being made."""
        return self.quota.total

    def receive(self, data: bytes, five_tuple: FiveTuple, now: Instant) -> list[Event]:
        """Handle one STUN datagram of a client."""
        try:
            message = parse(data)
        except MalformedMessageError:
            return [Dropped(Drop.MALFORMED)]
        if message.message_class is Class.REQUEST:
            self._request(message, five_tuple, now)
        elif message.message_class is Class.INDICATION and message.method == Method.SEND:
            self._send_indication(message, five_tuple, now)
        return self._take_events()

    def relay_opened(self, session: int, now: Instant) -> list[Event]:
        """The socket of an `OpenRelay` is bound: the allocation exists from here."""
        self._allocate_opened(session, self._opening.pop(session), now)
        return self._take_events()

    def relay_refused(self, session: int) -> list[Event]:
        """The port of an `OpenRelay` is taken by somebody else: another one, or 508."""
        opening = self._opening[session]
        port = None
        if opening.attempts < MAX_PORT_ATTEMPTS:
            port = self._ports.take(even=opening.wanted.even_port)
        self._ports.give_back(opening.port)
        if port is not None:
            opening.port = port
            opening.attempts += 1
            return [OpenRelay(session, opening.five_tuple, port)]
        del self._opening[session]
        self.quota.give_back(opening.principal.user)
        error = no_capacity(Outcome.PORT_EXHAUSTED)
        self._refuse(opening.request, opening.five_tuple, error, opening.principal)
        return self._take_events()

    def next_timer(self) -> float | None:
        """Monotonic time at which `handle_timer` is due, or None."""
        return self._table.next_timer()

    def handle_timer(self, now: Instant) -> list[Event]:
        """End what is over: allocations, permissions, channels."""
        for allocation in self._table.take_due(now.monotonic):
            cause = allocation.end_at(now.monotonic)
            if cause is not None:
                self._end(allocation, cause, now)
                continue
            expired = allocation.permissions.expired(now.monotonic)
            self._events += allocation.end_permissions(*expired)
            self._table.set_timer(allocation)
        return self._take_events()

    def replace_peers(self, entries: Iterable[PeerEntry]) -> list[Event]:
        """Take a new pushed list; what it no longer opens ends at once."""
        self.policy.replace_pushed(entries)
        for allocation in self._table:
            permissions = allocation.permissions
            denied = permissions.denied(self.policy.ports, self.policy.allows)
            self._events += allocation.end_permissions(*denied)
            self._events.extend(
                Permit(allocation.session, host, self.policy.ports(host))
                for host in permissions.hosts
            )
        return self._take_events()

    def client_gone(self, five_tuple: FiveTuple, cause: SessionEnd, now: Instant) -> list[Event]:
        """The stream to a client has ended, and with it the allocation that it had."""
        allocation = self._table.get(five_tuple)
        if allocation is not None:
            self._end(allocation, cause, now)
        return self._take_events()

    def end_all(self, cause: SessionEnd, now: Instant) -> list[Event]:
        """End every allocation."""
        for allocation in self._table:
            self._end(allocation, cause, now)
        return self._take_events()

    def seal(self, drain_id: str) -> None:
        """Close for good when empty. Raises `AdmissionConflictError`."""
        self.gate.seal(drain_id, self.allocations)

    def _request(self, request: Message, five_tuple: FiveTuple, now: Instant) -> None:
        if request.method == Method.BINDING:
            self._binding(request, five_tuple)
            return
        if request.method != Method.ALLOCATE and request.method not in self._handlers:
            self._events.append(Dropped(Drop.MALFORMED))
            return
        allocation = self._table.get(five_tuple)
        known = allocation.principal if allocation else None
        try:
            principal = self.authenticator.authenticate(request, five_tuple.client, now, known)
        except AuthenticationError as error:
            challenge = self.authenticator.challenge(five_tuple.client, now)
            answer = unauthenticated(error.refusal, challenge)
            self._refuse(request, five_tuple, answer, None)
            return
        try:
            check_known(request)
            if request.method == Method.ALLOCATE:
                self._allocate(request, five_tuple, principal, allocation)
            else:
                owned = _owned_by(allocation, principal)
                self._handlers[request.method](request, owned, now)
        except RequestError as error:
            self._refuse(request, five_tuple, error, principal)

    def _binding(self, request: Message, five_tuple: FiveTuple) -> None:
        try:
            check_known(request)
        except RequestError as error:
            self._refuse(request, five_tuple, error, None)
        else:
            self._events.append(Reply(five_tuple, replies.bound(request, five_tuple.client)))

    def _allocate(
        self,
        request: Message,
        five_tuple: FiveTuple,
        principal: Principal,
        existing: Allocation | None,
    ) -> None:
        if existing is not None:
            if existing.transaction_id != request.transaction_id:
                raise RequestError(437, "Allocation Mismatch", Outcome.MISMATCH)
            self._events.append(Reply(five_tuple, existing.reply))
            return
        wanted = read_allocate(request, self._relayed.family)
        if not self.gate.is_open:
            raise no_capacity(Outcome.DRAINING)
        if not self.quota.has_room_for(principal.user):
            raise RequestError(486, "Allocation Quota Reached", Outcome.QUOTA)
        if self.quota.is_full:
            raise no_capacity(Outcome.CAPACITY)
        port = self._ports.take(even=wanted.even_port)
        if port is None:
            raise no_capacity(Outcome.PORT_EXHAUSTED)
        self.quota.take(principal.user)
        self._last_session += 1
        self._opening[self._last_session] = _Opening(request, five_tuple, principal, wanted, port)
        self._events.append(OpenRelay(self._last_session, five_tuple, port))

    def _allocate_opened(self, session: int, opening: _Opening, now: Instant) -> None:
        request, five_tuple, principal = opening.request, opening.five_tuple, opening.principal
        credential_ends = credential_end(principal, self._grace, now)
        lifetime = granted_lifetime(opening.wanted.lifetime, credential_ends, now)
        reply = replies.allocated(
            request,
            relayed=(self._relayed.host, opening.port),
            client=five_tuple.client,
            lifetime=lifetime,
            without_second_family=opening.wanted.second_family,
            key=principal.key,
        )
        allocation = Allocation(
            session=session,
            five_tuple=five_tuple,
            principal=principal,
            port=opening.port,
            transaction_id=request.transaction_id,
            reply=reply,
            started=now.monotonic,
            expires=now.monotonic + lifetime,
            credential_ends=credential_ends,
        )
        self._table.add(allocation)
        self._events.append(Reply(five_tuple, reply))
        self._count(request, five_tuple, Outcome.OK, principal)

    def _refresh(self, request: Message, allocation: Allocation, now: Instant) -> None:
        check_refresh_family(request, self._relayed.family)
        requested = read_lifetime(request)
        if requested == 0:
            lifetime = 0
            self._end(allocation, SessionEnd.DELETED, now)
        else:
            lifetime = granted_lifetime(requested, allocation.credential_ends, now)
            allocation.expires = now.monotonic + lifetime
            self._table.set_timer(allocation)
        self._answer(request, allocation, [replies.lifetime_attribute(lifetime)])

    def _create_permission(self, request: Message, allocation: Allocation, now: Instant) -> None:
        hosts = {peer[0] for peer in read_peers(request, self._relayed.family)}
        for host in hosts:
            if self.policy.ports(host) == frozenset():
                raise self._forbidden(allocation, host)
        if not allocation.permissions.has_room(hosts):
            raise no_capacity(Outcome.CAPACITY)
        for host in hosts:
            self._events += allocation.permit(host, self.policy.ports(host), now.monotonic)
        self._table.set_timer(allocation)
        self._answer(request, allocation, [])

    def _channel_bind(self, request: Message, allocation: Allocation, now: Instant) -> None:
        number, peer = read_channel(request, self._relayed.family)
        permissions = allocation.permissions
        if not permissions.can_bind(number, peer):
            raise bad_request()
        if not self.policy.allows(peer):
            raise self._forbidden(allocation, peer[0])
        if not (permissions.has_room({peer[0]}) and permissions.has_channel_room(number)):
            raise no_capacity(Outcome.CAPACITY)
        self._events += allocation.permit(peer[0], self.policy.ports(peer[0]), now.monotonic)
        permissions.bind(number, peer, now.monotonic)
        self._events.append(BindChannel(allocation.session, number, peer))
        self._table.set_timer(allocation)
        self._answer(request, allocation, [])

    def _forbidden(self, allocation: Allocation, host: str) -> RequestError:
        self._events.append(PeerDenied(allocation.session, host))
        return RequestError(403, "Forbidden")

    def _send_indication(self, message: Message, five_tuple: FiveTuple, now: Instant) -> None:
        """RFC 8656 section 11.2: nobody is told of what is wrong with an indication."""
        allocation = self._table.get(five_tuple)
        try:
            peer, data, dont_fragment = read_send(message, self._relayed.family)
        except RequestError:
            self._events.append(Dropped(Drop.MALFORMED))
            return
        if allocation is None or not allocation.permissions.permits(peer[0], now.monotonic):
            self._events.append(Dropped(Drop.NO_PERMISSION))
        elif not self.policy.allows(peer):
            self._events.append(PeerDenied(allocation.session, peer[0]))
            self._events.append(Dropped(Drop.NO_PERMISSION))
        else:
            self._events.append(SendToPeer(allocation.session, peer, data, dont_fragment))

    def _end(self, allocation: Allocation, cause: SessionEnd, now: Instant) -> None:
        self._table.remove(allocation)
        self._ports.give_back(allocation.port)
        self.quota.give_back(allocation.principal.user)
        ended = SessionEnded(
            session=allocation.session,
            five_tuple=allocation.five_tuple,
            cause=cause,
            user=allocation.principal.user,
            port=allocation.port,
            seconds=now.monotonic - allocation.started,
        )
        self._events.append(ended)

    def _answer(
        self, request: Message, allocation: Allocation, attributes: list[tuple[int, bytes]]
    ) -> None:
        data = replies.success(request, attributes, allocation.principal.key)
        self._events.append(Reply(allocation.five_tuple, data))

    def _refuse(
        self, request: Message, five_tuple: FiveTuple, error: RequestError, who: Principal | None
    ) -> None:
        data = replies.failure(request, error, who.key if who else None)
        self._events.append(Reply(five_tuple, data))
        if request.method == Method.ALLOCATE:
            self._count(request, five_tuple, error.outcome, who)

    def _count(
        self, request: Message, five_tuple: FiveTuple, outcome: Outcome, who: Principal | None
    ) -> None:
        if self._answered.add((five_tuple, request.transaction_id, outcome)):
            self._events.append(AllocateAnswered(outcome, who.user if who else None))

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events


def _owned_by(allocation: Allocation | None, principal: Principal) -> Allocation:
    if allocation is None:
        raise RequestError(437, "Allocation Mismatch")
    if principal.username != allocation.principal.username:
        raise RequestError(441, "Wrong Credentials")
    return allocation

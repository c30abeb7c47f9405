"""Turns an Allocate into an allocation: what is to be had, and for whom (RFC 8656 section 7.2).

What an allocation takes is taken when its socket is asked for and given back when it ends: a port
and a place in the quota, and for a reserved port another of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from callfleet_relay import replies
from callfleet_relay.allocation import (
    Allocation,
    RelayedHost,
    credential_end,
    family_of,
    granted_lifetime,
)
from callfleet_relay.auth import Authenticated, Instant
from callfleet_relay.drain import AdmissionGate
from callfleet_relay.errors import (
    RequestError,
    mobility_forbidden,
    no_capacity,
    quota_reached,
    try_alternate,
)
from callfleet_relay.events import FiveTuple, OpenRelay, Outcome
from callfleet_relay.message import Address, Message
from callfleet_relay.ports import RelayPorts
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.rates import PrefixRate
from callfleet_relay.requests import AllocateRequest, read_allocate
from callfleet_relay.reservations import Reservations
from callfleet_relay.tickets import Tickets

MAX_PORT_ATTEMPTS = 16
"""Ports tried for one Allocate where other programs hold some of the range."""
MAX_ALTERNATIVES = 64


@dataclass(slots=True)
class Opening:
    """An Allocate that waits for its relay socket."""

    session: int
    request: Message
    five_tuple: FiveTuple
    who: Authenticated
    wanted: AllocateRequest
    port: int
    attempts: int = 1

    @property
    def user(self) -> str:
        """Whose quota it counts against."""
        return self.who.principal.user

    @property
    def event(self) -> OpenRelay:
        """Asks for its socket."""
        families = self.wanted.families
        tcp = self.wanted.tcp
        return OpenRelay(self.session, self.five_tuple, self.port, families, self.user, tcp)


class Allocator:
    """Ports, quotas, reservations and those Allocates that wait for a socket."""

    def __init__(
        self,
        *,
        relayed: Sequence[RelayedHost],
        ports: RelayPorts,
        quota: AllocationQuota,
        gate: AdmissionGate,
        rate: PrefixRate | None,
        credential_grace: float,
        tcp_relay: bool,
        streams: frozenset[int],
        tickets: Tickets | None,
    ) -> None:
        """`relayed`: one host for each family; `rate`: of one client address.

        `tcp_relay`: whether TCP allocations are made, for clients of the listeners `streams`.
        `tickets`: for clients of the others who ask for one, where there are any.
        """
        self.ports = ports
        self.quota = quota
        self.gate = gate
        self.reservations = Reservations()
        self.openings: dict[int, Opening] = {}
        self._waiting: set[FiveTuple] = set()
        self._hosts = {each.family: each.host for each in relayed}
        self._rate = rate
        self._grace = credential_grace
        self._tcp_relay = tcp_relay
        self._streams = streams
        self._tickets = tickets
        self._last_session = 0
        self._alternatives: tuple[Address, ...] = ()
        self._redirected = 0

    @property
    def families(self) -> frozenset[int]:
        """Families of relayed addresses that there are."""
        return frozenset(self._hosts)

    def replace_alternatives(self, addresses: Iterable[Address]) -> None:
        """Servers to name while this one is draining; the first 64 of them are kept."""
        self._alternatives = tuple(addresses)[:MAX_ALTERNATIVES]

    def is_opening(self, five_tuple: FiveTuple) -> bool:
        """Whether an Allocate of this client waits for its socket."""
        return five_tuple in self._waiting

    def begin(
        self, request: Message, five_tuple: FiveTuple, who: Authenticated, now: Instant
    ) -> OpenRelay:
        """Take what a new allocation needs. Raises `RequestError`."""
        stream = five_tuple.listener in self._streams
        wanted = read_allocate(request, self.families, tcp_relay=self._tcp_relay, stream=stream)
        if wanted.mobile and (stream or self._tickets is None):
            raise mobility_forbidden()
        if not self.gate.is_open:
            raise self._redirect(family_of(five_tuple.client[0]))
        if self._rate is not None and not self._rate.admits(five_tuple.client[0], now.monotonic):
            raise quota_reached(Outcome.RATE_LIMITED)
        if wanted.token is not None:
            wanted, port = self._claim(wanted, wanted.token, who, now)
        else:
            port = self._take(wanted, who.principal.user)
        self._last_session += 1
        opening = Opening(self._last_session, request, five_tuple, who, wanted, port)
        self.openings[opening.session] = opening
        self._waiting.add(five_tuple)
        return opening.event

    def opened(self, session: int, now: Instant) -> Allocation:
        """The allocation whose socket is bound."""
        opening = self._close(session)
        request, wanted, principal = opening.request, opening.wanted, opening.who.principal
        credential_ends = credential_end(principal, self._grace, now)
        lifetime = granted_lifetime(wanted.lifetime, credential_ends, now)
        token = None
        if wanted.reserve_next:
            family = wanted.families[0]
            kept = self.reservations.keep(opening.user, opening.port + 1, family, now.monotonic)
            token = kept.token
        reply = replies.allocated(
            request,
            relayed=[(self._hosts[family], opening.port) for family in wanted.families],
            client=opening.five_tuple.client,
            lifetime=lifetime,
            token=token,
            declined=wanted.declined,
            ticket=self._tickets.make(session, 0) if wanted.mobile and self._tickets else None,
            key=opening.who.key,
        )
        return Allocation(
            session=session,
            five_tuple=opening.five_tuple,
            principal=principal,
            port=opening.port,
            transaction_id=request.transaction_id,
            reply=reply,
            started=now.monotonic,
            expires=dict.fromkeys(wanted.families, now.monotonic + lifetime),
            credential_ends=credential_ends,
            tcp=wanted.tcp,
            is_mobile=wanted.mobile,
        )

    def try_another(self, session: int) -> OpenRelay | None:
        """Another port for a socket that could not be bound; None where it is to be refused."""
        opening = self.openings[session]
        refused, port = opening.port, None
        if opening.attempts < MAX_PORT_ATTEMPTS and opening.wanted.token is None:
            port = self._port(opening.wanted)
        self._give_back_ports(refused, opening.wanted)
        if port is None:
            return None
        opening.port = port
        opening.attempts += 1
        return opening.event

    def give_up(self, session: int) -> Opening:
        """An Allocate for which no port can be bound; what it took is given back."""
        opening = self._close(session)
        for _ in range(2 if opening.wanted.reserve_next else 1):
            self.quota.give_back(opening.user)
        return opening

    def release(self, allocation: Allocation) -> None:
        """Take back what an allocation had."""
        self.ports.give_back(allocation.port)
        self.quota.give_back(allocation.principal.user)

    def expire(self, now: float) -> None:
        """Take back the reserved ports that nobody has asked for in time."""
        for reservation in self.reservations.take_expired(now):
            self.ports.give_back(reservation.port)
            self.quota.give_back(reservation.user)

    def _close(self, session: int) -> Opening:
        opening = self.openings.pop(session)
        self._waiting.remove(opening.five_tuple)
        return opening

    def _take(self, wanted: AllocateRequest, user: str) -> int:
        places = 2 if wanted.reserve_next else 1
        if not self.quota.has_room_for(user, places):
            raise quota_reached(Outcome.QUOTA)
        if not self.quota.has_room(places):
            raise no_capacity(Outcome.CAPACITY)
        port = self._port(wanted)
        if port is None:
            raise no_capacity(Outcome.PORT_EXHAUSTED)
        for _ in range(places):
            self.quota.take(user)
        return port

    def _claim(
        self, wanted: AllocateRequest, token: bytes, who: Authenticated, now: Instant
    ) -> tuple[AllocateRequest, int]:
        """The reserved port, with the place in the quota that it has had all along."""
        kept = self.reservations.claim(token, who.principal.user, now.monotonic)
        if kept is None:
            raise no_capacity(Outcome.UNSUPPORTED)
        return replace(wanted, families=(kept.family,)), kept.port

    def _port(self, wanted: AllocateRequest) -> int | None:
        if wanted.reserve_next:
            return self.ports.take_pair()
        return self.ports.take(even=wanted.even_port)

    def _give_back_ports(self, port: int, wanted: AllocateRequest) -> None:
        self.ports.give_back(port)
        if wanted.reserve_next:
            self.ports.give_back(port + 1)

    def _redirect(self, family: int) -> RequestError:
        """300 with the next alternative of the client's family (RFC 8489 section 10), or 508."""
        known = [each for each in self._alternatives if family_of(each[0]) == family]
        if not known:
            return no_capacity(Outcome.DRAINING)
        self._redirected += 1
        return try_alternate(known[self._redirected % len(known)])

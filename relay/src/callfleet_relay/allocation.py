"""Allocations, how long they live, and when to look at them (RFC 8656 sections 6 to 8)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_bytes

from callfleet_relay.auth import Instant
from callfleet_relay.credentials import Principal
from callfleet_relay.events import (
    BindChannel,
    CloseRelay,
    Drop,
    Dropped,
    Event,
    FiveTuple,
    Forbid,
    Permit,
    Reply,
    SessionEnd,
    UnbindChannel,
)
from callfleet_relay.message import Address, IcmpError, icmp_indication
from callfleet_relay.peers import Ports
from callfleet_relay.permissions import Permissions
from callfleet_relay.quota import TokenBucket

DEFAULT_LIFETIME = 600
MAX_LIFETIME = 3600
ICMP_RATE = 10.0
"""ICMP errors a second that a client is told of: more say nothing new."""


@dataclass(frozen=True, slots=True)
class RelayedHost:
    """The host part of relayed transport addresses."""

    host: str
    """As clients and their peers see it."""
    family: int
    """4 or 6."""


def family_of(host: str) -> int:
    """4 or 6."""
    return 6 if ":" in host else 4


@dataclass(slots=True)
class Allocation:
    """A client's relayed transport addresses: one, or one of each family on the same port.

    Times are monotonic seconds.
    """

    session: int
    five_tuple: FiveTuple
    principal: Principal
    port: int
    transaction_id: bytes
    """Of the Allocate that made it: the same again is a retransmission."""
    reply: bytes
    """What that Allocate was answered, to be sent again."""
    started: float
    expires: dict[int, float]
    """When each family's address ends."""
    credential_ends: float
    """When its credential, with the grace, no longer bears it."""
    tcp: bool = False
    """It relays TCP, by connections, in place of datagrams (RFC 6062)."""
    is_mobile: bool = False
    """It may go with its client to another address (RFC 8016)."""
    generation: int = 0
    """Which of its mobility tickets is good."""
    moving_to: FiveTuple | None = None
    """Where its client has asked to move, and has not been heard of since."""
    timer: float = math.inf
    """When it is looked at next."""
    permissions: Permissions = field(default_factory=Permissions)
    icmp_rate: TokenBucket | None = None
    """There once it was told of an error."""

    @property
    def families(self) -> frozenset[int]:
        """Families of the addresses that it has."""
        return frozenset(self.expires)

    def next_deadline(self) -> float:
        """When something of it ends next."""
        first = min(self.expires.values())
        return min(first, self.credential_ends, self.permissions.next_expiry())

    def end_at(self, now: float) -> SessionEnd | None:
        """Why it is over by `now`, if it is."""
        if self.credential_ends > now and max(self.expires.values()) > now:
            return None
        # Lifetimes are whole seconds: one that the credential has cut ends up to a second before.
        is_cut = self.credential_ends < now + 1
        return SessionEnd.CREDENTIAL_EXPIRED if is_cut else SessionEnd.EXPIRED

    def expire(self, now: float) -> list[Event]:
        """End what is over of an allocation that goes on: an address, permissions, channels."""
        events: list[Event] = []
        for family in [each for each, expires in self.expires.items() if expires <= now]:
            events += self.close(family)
        return events + self.end_permissions(*self.permissions.expired(now))

    def unbind(self, peer: Address) -> list[Event]:
        """End the channel to a peer, if there is one."""
        number = self.permissions.numbers.get(peer)
        return [] if number is None else self.end_permissions([], [number])

    def tell(self, error: IcmpError, now: float) -> list[Event]:
        """Tell the client of an ICMP message, if its peer is permitted (section 11.5)."""
        if not error.is_relayed or not self.permissions.permits(error.peer[0], now):
            return []
        if self.icmp_rate is None:
            self.icmp_rate = TokenBucket(ICMP_RATE, now)
        if not self.icmp_rate.take(1, now):
            return [Dropped(Drop.ICMP_RATE)]
        return [Reply(self.five_tuple, icmp_indication(error, token_bytes(12)))]

    def close(self, family: int) -> list[Event]:
        """Give up one address of two, with its permissions and channels (section 8.1)."""
        del self.expires[family]
        hosts = [host for host in self.permissions.hosts if family_of(host) == family]
        channels = [
            number
            for number, channel in self.permissions.channels.items()
            if family_of(channel.peer[0]) == family
        ]
        return [*self.end_permissions(hosts, channels), CloseRelay(self.session, family)]

    def permit(self, host: str, ports: Ports, now: float) -> list[Event]:
        """Install or renew a permission; channels that waited for it carry data again."""
        is_new = host not in self.permissions.hosts
        self.permissions.permit(host, now)
        if not is_new:
            return []
        waiting = self.permissions.channels_of(host)
        bindings = (BindChannel(self.session, number, peer) for number, peer in waiting)
        return [Permit(self.session, host, ports), *bindings]

    def end_permissions(self, hosts: list[str], channels: list[int]) -> list[Event]:
        """Unbind channels and end permissions, with the traffic of their channels."""
        session, permissions = self.session, self.permissions
        events: list[Event] = [
            UnbindChannel(session, number, permissions.unbind(number)) for number in channels
        ]
        for host in hosts:
            permissions.forbid(host)
            events.extend(
                UnbindChannel(session, number, peer)
                for number, peer in permissions.channels_of(host)
            )
            events.append(Forbid(session, host))
        return events


class AllocationTable:
    """All allocations of a relay, with one timer each."""

    def __init__(self) -> None:
        self._by_five_tuple: dict[FiveTuple, Allocation] = {}
        self._by_session: dict[int, Allocation] = {}
        self._timers: list[tuple[float, int]] = []

    def __iter__(self) -> Iterator[Allocation]:
        return iter(list(self._by_session.values()))

    def __len__(self) -> int:
        return len(self._by_session)

    def get(self, five_tuple: FiveTuple) -> Allocation | None:
        """The allocation of a client's transport connection."""
        return self._by_five_tuple.get(five_tuple)

    def of_session(self, session: int) -> Allocation | None:
        """The allocation of a session."""
        return self._by_session.get(session)

    def add(self, allocation: Allocation) -> None:
        """Keep an allocation."""
        self._by_five_tuple[allocation.five_tuple] = allocation
        self._by_session[allocation.session] = allocation
        self.set_timer(allocation)

    def expect(self, allocation: Allocation, five_tuple: FiveTuple) -> None:
        """Have an allocation found by a second 5-tuple too, in place of an earlier second one."""
        if allocation.moving_to is not None:
            del self._by_five_tuple[allocation.moving_to]
        allocation.moving_to = five_tuple
        self._by_five_tuple[five_tuple] = allocation

    def move(self, allocation: Allocation) -> None:
        """Have it found by the second 5-tuple alone."""
        assert allocation.moving_to is not None  # noqa: S101 - see `expect`
        del self._by_five_tuple[allocation.five_tuple]
        allocation.five_tuple, allocation.moving_to = allocation.moving_to, None

    def remove(self, allocation: Allocation) -> None:
        """Forget an allocation; its timer finds nothing."""
        del self._by_five_tuple[allocation.five_tuple]
        if allocation.moving_to is not None:
            del self._by_five_tuple[allocation.moving_to]
        del self._by_session[allocation.session]

    def set_timer(self, allocation: Allocation) -> None:
        """Call after a change. A later deadline needs nothing: the timer that is set finds it."""
        deadline = allocation.next_deadline()
        if deadline < allocation.timer:
            allocation.timer = deadline
            heapq.heappush(self._timers, (deadline, allocation.session))

    def next_timer(self) -> float | None:
        """Monotonic time at which the next allocation is to be looked at."""
        return self._timers[0][0] if self._timers else None

    def take_due(self, now: float) -> Iterator[Allocation]:
        """Allocations to look at now; give each back by `set_timer` or `remove`."""
        while self._timers and self._timers[0][0] <= now:
            due, session = heapq.heappop(self._timers)
            allocation = self._by_session.get(session)
            if allocation is not None and allocation.timer == due:
                allocation.timer = math.inf
                yield allocation


def credential_end(principal: Principal, grace: float, now: Instant) -> float:
    """Monotonic time at which an allocation of this credential ends."""
    return now.monotonic + max(0.0, principal.expires + grace - now.unix)


def granted_lifetime(requested: int | None, credential_ends: float, now: Instant) -> int:
    """Seconds: at least 10 minutes, at most an hour, never longer than the credential bears."""
    wanted = min(max(requested or 0, DEFAULT_LIFETIME), MAX_LIFETIME)
    return max(1, int(min(wanted, credential_ends - now.monotonic)))

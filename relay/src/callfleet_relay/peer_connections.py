"""TCP connections with peers, from Connect or accept to their end (RFC 6062 section 5)."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from callfleet_relay.auth import Authenticated
from callfleet_relay.message import Address, Message

CONNECT_SECONDS = 30.0
"""How long a peer may take to answer: the least that RFC 6062 section 5.2 allows."""
BIND_SECONDS = 30.0
"""How long a connection waits for the client's ConnectionBind."""
MAX_PER_ALLOCATION = 32


class PeerResult(StrEnum):
    """What became of a connection: the label of `peer_connections_total`."""

    CONNECTED = "connected"
    ACCEPTED = "accepted"
    FAILED = "failed"
    """The peer refused, or nobody answered."""
    DENIED = "denied"
    """By the peer policy, or for want of a permission."""
    LIMIT = "limit"
    UNBOUND = "unbound"
    """The client did not come for it in time."""


@dataclass(slots=True)
class PeerConnection:
    """One connection; the peer's address is no other's of its session."""

    number: int
    """CONNECTION-ID."""
    session: int
    peer: Address
    asked: tuple[Message, Authenticated] | None
    """The Connect that waits for its answer."""
    is_bound: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether it is there and a ConnectionBind may take it."""
        return self.asked is None and not self.is_bound


@dataclass(slots=True)
class PeerConnections:
    """All of them. Each that is not bound has a deadline."""

    limit: int
    """In all."""
    results: Counter[PeerResult] = field(
        default_factory=lambda: Counter(dict.fromkeys(PeerResult, 0))
    )
    _by_number: dict[int, PeerConnection] = field(default_factory=dict)
    _sessions: dict[int, dict[Address, PeerConnection]] = field(default_factory=dict)
    _deadlines: dict[int, float] = field(default_factory=dict)
    """In their order: each is as long after the moment in which it is set."""

    def __len__(self) -> int:
        return len(self._by_number)

    def get(self, number: int) -> PeerConnection | None:
        """The connection of a CONNECTION-ID."""
        return self._by_number.get(number)

    def with_peer(self, session: int, peer: Address) -> PeerConnection | None:
        """A session's connection with this peer."""
        return self._sessions.get(session, {}).get(peer)

    def of_session(self, session: int) -> Iterator[PeerConnection]:
        """All of a session; they may be removed meanwhile."""
        return iter(list(self._sessions.get(session, {}).values()))

    def has_room(self, session: int) -> bool:
        """Whether a session may have one more."""
        own = len(self._sessions.get(session, ()))
        return own < MAX_PER_ALLOCATION and len(self._by_number) < self.limit

    def add(
        self,
        session: int,
        peer: Address,
        now: float,
        asked: tuple[Message, Authenticated] | None = None,
    ) -> PeerConnection:
        """A connection that is being made, for `asked`, or one that a peer has made."""
        number = secrets.randbits(32)
        while number in self._by_number:
            number = secrets.randbits(32)
        made = PeerConnection(number, session, peer, asked)
        self._by_number[number] = made
        self._sessions.setdefault(session, {})[peer] = made
        self._deadlines[number] = now + CONNECT_SECONDS
        return made

    def connected(self, connection: PeerConnection, now: float) -> None:
        """It is made, and waits for the client."""
        connection.asked = None
        del self._deadlines[connection.number]
        self._deadlines[connection.number] = now + BIND_SECONDS

    def bound(self, connection: PeerConnection) -> None:
        """The client has come for it."""
        connection.is_bound = True
        del self._deadlines[connection.number]

    def remove(self, connection: PeerConnection) -> None:
        """Forget one."""
        del self._by_number[connection.number]
        self._deadlines.pop(connection.number, None)
        peers = self._sessions[connection.session]
        del peers[connection.peer]
        if not peers:
            del self._sessions[connection.session]

    def next_timer(self) -> float | None:
        """When the first of them has waited for too long."""
        return next(iter(self._deadlines.values()), None)

    def due(self, now: float) -> list[PeerConnection]:
        """Those that have waited for too long."""
        return [self._by_number[each] for each, due in self._deadlines.items() if due <= now]

"""How many streams there may be, in all and of one source, and why each has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from callfleet_relay.events import SessionEnd


class ConnectionEnd(StrEnum):
    """Why a TCP or TLS connection ended: the label of `connections_closed_total`."""

    CLOSED = "closed"
    """By the client."""
    RESET = "reset"
    """The network or the client broke it off."""
    IDLE = "idle"
    """It had no allocation for too long."""
    SLOW_READER = "slow_reader"
    """What was sent to it stayed where it was for too long."""
    MALFORMED = "malformed"
    """What came was not TURN."""
    PROXY_HEADER = "proxy_header"
    """A load balancer's header was missing or wrong."""
    TLS = "tls"
    """The TLS handshake failed or took too long."""
    TOTAL_LIMIT = "total_limit"
    SOURCE_LIMIT = "source_limit"
    PEER_CLOSED = "peer_closed"
    """It carried a connection with a peer, which ended."""
    SLOW_PEER = "slow_peer"
    """It carried a connection with a peer that took nothing for too long."""
    REPLACED = "replaced"
    """A load balancer has named the same client for a later one."""
    TERMINATED = "terminated"
    """The relay ended."""


_SESSION_ENDS = {
    ConnectionEnd.SLOW_READER: SessionEnd.SLOW_READER,
    ConnectionEnd.MALFORMED: SessionEnd.MALFORMED,
    ConnectionEnd.TERMINATED: SessionEnd.POD_TERMINATED,
}


def session_end(cause: ConnectionEnd) -> SessionEnd:
    """Why the session of a connection that ends so has ended."""
    return _SESSION_ENDS.get(cause, SessionEnd.CLOSED)


@dataclass(slots=True)
class StreamFigures:
    """Totals since the start; connections at this moment."""

    open: Counter[str] = field(default_factory=Counter)
    """By transport, tcp or tls."""
    closed: Counter[ConnectionEnd] = field(
        default_factory=lambda: Counter(dict.fromkeys(ConnectionEnd, 0))
    )
    accept_errors: int = 0


@dataclass(slots=True)
class StreamLimits:
    """What connections may take; the numbers may change while they are there."""

    total: int
    per_source: int
    """Connections of one IPv4 address, or of one /64 of IPv6, which is what one host gets."""
    idle_seconds: float
    """How long a connection may be without an allocation."""

    def take(self, other: StreamLimits) -> None:
        """Be as the other is."""
        self.total, self.per_source = other.total, other.per_source
        self.idle_seconds = other.idle_seconds


class ConnectionCount:
    """Counts connections in all and by source."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._sources: Counter[int] = Counter()
        self.total = 0

    @property
    def has_room(self) -> bool:
        """Whether there is room for one more."""
        return self.total < self._limits.total

    def has_room_for(self, host: str) -> bool:
        """Whether there is room for one more of this host's."""
        return self._sources[_source(host)] < self._limits.per_source

    def add(self) -> None:
        """Count one more, whose it is not being known yet."""
        self.total += 1

    def add_host(self, host: str) -> None:
        """One that is counted is this host's."""
        self._sources[_source(host)] += 1

    def remove(self, host: str | None) -> None:
        """Count one less; `host` as it was given to `add_host`, if it was."""
        self.total -= 1
        if host is not None:
            source = _source(host)
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]


def _source(host: str) -> int:
    """An address, or the /64 that it is in; they share no number."""
    address = ip_address(host)
    if isinstance(address, IPv4Address):
        return int(address)
    return -1 - (int(address) >> 64)


class TrustedProxies:
    """The load balancers that say who their clients are."""

    def __init__(self, ranges: Iterable[str]) -> None:
        """`ranges`: CIDRs."""
        self._networks = [ip_network(each) for each in ranges]

    def __contains__(self, host: str) -> bool:
        """Whether connections from this address begin with a PROXY protocol header."""
        if not self._networks:
            return False
        address: IPv4Address | IPv6Address = ip_address(host)
        return any(address in network for network in self._networks)

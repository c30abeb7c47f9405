"""Which peers clients may exchange datagrams with.

An allow list decides: what no entry names is denied. By default its one entry is the public
Internet, which is all unicast addresses outside the IANA special-purpose address registries
(https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from callfleet_relay.message import Address

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Ports = frozenset[int] | None
"""Ports of one address that are allowed; None for all of them."""

PUBLIC = "public"
"""Word for the public Internet in place of a CIDR."""

SPECIAL_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared address space
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link local, cloud metadata
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay anycast, deprecated
        "192.168.0.0/16",  # private use
        "192.175.48.0/24",  # direct delegation AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, limited broadcast
    )
)
GLOBAL_UNICAST_IPV6 = IPv6Network("2000::/3")
"""All else is loopback, unspecified, IPv4-mapped, IPv4-compatible, NAT64, discard-only, segment
routing, unique local, link local, site local, multicast or unassigned."""
SPECIAL_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, ORCHID and more
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # direct delegation AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Upper half of an interface identifier that holds an IPv4 address (RFC 5214 section 6.1)."""


def is_public(address: IPAddress) -> bool:
    """Whether an address is unicast and in no special-purpose range, in whatever encoding."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    if address not in GLOBAL_UNICAST_IPV6 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in SPECIAL_IPV6)


def _is_unicast(address: IPAddress) -> bool:
    """Whether a datagram can go to just one host; no allow list opens anything else."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    return not (
        address.is_multicast or address.is_unspecified or int(address) == 0xFFFFFFFF  # broadcast
    )


@dataclass(frozen=True, slots=True)
class PeerEntry:
    """One entry of the pushed list: an address and, where given, its only port."""

    address: IPAddress
    port: int | None = None


class PeerPolicy:
    """The allow list, from the command line and from the admin interface.

    An entry opens what it names, special-purpose or not. The relay's own listeners are never
    opened by a range or a bare address, only by an entry that names address and port: traffic
    would circle.
    """

    def __init__(self, allowed: Iterable[str], own: Iterable[Address] = ()) -> None:
        """`allowed`: CIDRs, or `PUBLIC`. `own`: where this relay listens."""
        words = list(allowed)
        self._public = PUBLIC in words
        self._networks = [ip_network(word) for word in words if word != PUBLIC]
        self._own = frozenset((ip_address(host), port) for host, port in own)
        self._pushed: dict[IPAddress, Ports] = {}
        self._open = lru_cache(maxsize=4096)(self._is_open)

    def replace_pushed(self, entries: Iterable[PeerEntry]) -> None:
        """Take a new list from the admin interface in place of the one before."""
        pushed: dict[IPAddress, Ports] = {}
        for entry in entries:
            known = pushed.get(entry.address, frozenset())
            if entry.port is None or known is None:
                pushed[entry.address] = None
            else:
                pushed[entry.address] = known | {entry.port}
        self._pushed = pushed
        self._open.cache_clear()

    @property
    def pushed_count(self) -> int:
        """Addresses that the admin interface has opened."""
        return len(self._pushed)

    def ports(self, host: str) -> Ports:
        """Ports of an address that are open: an empty set denies it, None opens all."""
        return self._open(host)

    def allows(self, peer: Address) -> bool:
        """Whether a datagram may go to this address and port."""
        ports = self._open(peer[0])
        if ports is not None:
            return peer[1] in ports
        return (ip_address(peer[0]), peer[1]) not in self._own

    def _is_open(self, host: str) -> Ports:
        address = ip_address(host)
        if not _is_unicast(address):
            return frozenset()
        if self._public and is_public(address):
            return None
        if any(address in network for network in self._networks):
            return None
        return self._pushed.get(address, frozenset())

"""Which peers clients may exchange datagrams with.

An allow list decides: what no entry names is denied. By default its one entry is the public
Internet, which is all unicast addresses outside the ranges of `special`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from callfleet_relay.hairpin import RelayedPeers
from callfleet_relay.message import Address
from callfleet_relay.special import (
    GLOBAL_UNICAST_IPV6,
    LOCAL_NAT64,
    SPECIAL_IPV4,
    SPECIAL_IPV6,
    embedded_ipv4,
    is_isatap,
)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Ports = frozenset[int] | None
"""Ports of one address that are allowed; None for all of them."""

PUBLIC = "public"
"""Word for the public Internet in place of a CIDR."""


def is_public(address: IPAddress) -> bool:
    """Whether an address is unicast and in no special-purpose range, in whatever encoding."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    if address not in GLOBAL_UNICAST_IPV6 or is_isatap(address):
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

    An entry opens what it names, special-purpose or not. Three things it does not open by a range:
    the relay's own listeners, as traffic would circle, and its relayed addresses unless hairpin is
    allowed, both opened only by an entry that names address and port; and an IPv6 address that
    stands for an IPv4 one which is not open itself.
    """

    def __init__(
        self,
        allowed: Iterable[str],
        own: Iterable[Address] = (),
        relayed_hosts: Iterable[str] = (),
    ) -> None:
        """`allowed`: CIDRs, or `PUBLIC`. `own`: where this relay listens.

        `relayed_hosts`: of its relayed addresses, which are denied; none where hairpin is allowed.
        """
        self.relayed = RelayedPeers(relayed_hosts)
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
        """Whether a datagram may go, or a connection be made, to this address and port."""
        ports = self._open(peer[0])
        if ports is not None:
            return peer[1] in ports
        if peer[1] == 0 or peer in self.relayed:
            return False
        return (ip_address(peer[0]), peer[1]) not in self._own

    def _is_open(self, host: str) -> Ports:
        address = ip_address(host)
        if not _is_unicast(address):
            return frozenset()
        if self._is_named(address):
            return None
        return self._pushed.get(address, frozenset())

    def _is_named(self, address: IPAddress) -> bool:
        if self._public and is_public(address):
            return True
        return any(
            address in network and self._opens(network, address) for network in self._networks
        )

    def _opens(self, network: IPNetwork, address: IPAddress) -> bool:
        if isinstance(address, IPv4Address) or network.prefixlen == address.max_prefixlen:
            return True
        if isinstance(network, IPv6Network) and address in LOCAL_NAT64:
            return network.subnet_of(LOCAL_NAT64)
        return all(self._is_open(str(each)) is None for each in embedded_ipv4(address))

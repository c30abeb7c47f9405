"""Addresses that are not plain unicast ones of the public Internet, as data.

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries with all their entries
(https://www.iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry; the IPv6
one as of 2024-10-22 and with RFC 9780), the multicast registries, and what no registry lists but
cloud hosts answer at. Some entries are globally reachable anycast services (AS112, PCP, TURN
discovery): no peer of a call is behind them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple


class SpecialRange(NamedTuple):
    """One entry of a registry."""

    prefix: str
    name: str
    source: str


SPECIAL_RANGES_IPV4 = (
    SpecialRange("0.0.0.0/8", "this network", "RFC 791"),
    SpecialRange("10.0.0.0/8", "private use", "RFC 1918"),
    SpecialRange("100.64.0.0/10", "shared address space; Alibaba's metadata", "RFC 6598"),
    SpecialRange("127.0.0.0/8", "loopback", "RFC 1122"),
    SpecialRange("169.254.0.0/16", "link local; metadata of most clouds", "RFC 3927"),
    SpecialRange("172.16.0.0/12", "private use", "RFC 1918"),
    SpecialRange("192.0.0.0/24", "IETF protocol assignments; Oracle's metadata", "RFC 6890"),
    SpecialRange("192.0.0.0/29", "IPv4 service continuity", "RFC 7335"),
    SpecialRange("192.0.0.8/32", "IPv4 dummy address", "RFC 7600"),
    SpecialRange("192.0.0.9/32", "Port Control Protocol anycast", "RFC 7723"),
    SpecialRange("192.0.0.10/32", "TURN anycast", "RFC 8155"),
    SpecialRange("192.0.0.170/31", "NAT64 discovery", "RFC 7050"),
    SpecialRange("192.0.2.0/24", "documentation", "RFC 5737"),
    SpecialRange("192.31.196.0/24", "AS112", "RFC 7535"),
    SpecialRange("192.52.193.0/24", "AMT", "RFC 7450"),
    SpecialRange("192.88.99.0/24", "6to4 relay anycast, deprecated", "RFC 7526"),
    SpecialRange("192.168.0.0/16", "private use", "RFC 1918"),
    SpecialRange("192.175.48.0/24", "direct delegation AS112", "RFC 7534"),
    SpecialRange("198.18.0.0/15", "benchmarking", "RFC 2544"),
    SpecialRange("198.51.100.0/24", "documentation", "RFC 5737"),
    SpecialRange("203.0.113.0/24", "documentation", "RFC 5737"),
    SpecialRange("224.0.0.0/4", "multicast", "RFC 5771"),
    SpecialRange("240.0.0.0/4", "reserved", "RFC 1112"),
    SpecialRange("255.255.255.255/32", "limited broadcast", "RFC 919"),
    SpecialRange("168.63.129.16/32", "Azure's platform services", "Azure documentation"),
)
SPECIAL_RANGES_IPV6 = (
    SpecialRange("::1/128", "loopback", "RFC 4291"),
    SpecialRange("::/128", "unspecified", "RFC 4291"),
    SpecialRange("::/96", "IPv4-compatible, deprecated", "RFC 4291"),
    SpecialRange("::ffff:0:0/96", "IPv4-mapped", "RFC 4291"),
    SpecialRange("::ffff:0:0:0/96", "IPv4-translated", "RFC 2765"),
    SpecialRange("64:ff9b::/96", "NAT64, well-known prefix", "RFC 6052"),
    SpecialRange("64:ff9b:1::/48", "NAT64, local use", "RFC 8215"),
    SpecialRange("100::/64", "discard only", "RFC 6666"),
    SpecialRange("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    SpecialRange("2001::/23", "IETF protocol assignments", "RFC 2928"),
    SpecialRange("2001::/32", "Teredo", "RFC 4380"),
    SpecialRange("2001:1::1/128", "Port Control Protocol anycast", "RFC 7723"),
    SpecialRange("2001:1::2/128", "TURN anycast", "RFC 8155"),
    SpecialRange("2001:1::3/128", "DNS-SD service registration anycast", "RFC 9665"),
    SpecialRange("2001:2::/48", "benchmarking", "RFC 5180"),
    SpecialRange("2001:3::/32", "AMT", "RFC 7450"),
    SpecialRange("2001:4:112::/48", "AS112", "RFC 7535"),
    SpecialRange("2001:10::/28", "ORCHID, deprecated", "RFC 4843"),
    SpecialRange("2001:20::/28", "ORCHIDv2", "RFC 7343"),
    SpecialRange("2001:30::/28", "drone remote identification", "RFC 9374"),
    SpecialRange("2001:db8::/32", "documentation", "RFC 3849"),
    SpecialRange("2002::/16", "6to4", "RFC 3056"),
    SpecialRange("2620:4f:8000::/48", "direct delegation AS112", "RFC 7534"),
    SpecialRange("3fff::/20", "documentation", "RFC 9637"),
    SpecialRange("5f00::/16", "segment routing", "RFC 9602"),
    SpecialRange("fc00::/7", "unique local; metadata of AWS and Google", "RFC 4193"),
    SpecialRange("fe80::/10", "link local", "RFC 4291"),
    SpecialRange("fec0::/10", "site local, deprecated", "RFC 3879"),
    SpecialRange("ff00::/8", "multicast", "RFC 4291"),
)
SPECIAL_IPV4 = tuple(IPv4Network(each.prefix) for each in SPECIAL_RANGES_IPV4)
SPECIAL_IPV6 = tuple(IPv6Network(each.prefix) for each in SPECIAL_RANGES_IPV6)
GLOBAL_UNICAST_IPV6 = IPv6Network("2000::/3")
"""IANA assigns nothing else to hosts of the Internet (RFC 4291 section 2.4)."""

LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
_LAST_32_BITS = tuple(
    IPv6Network(prefix) for prefix in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Upper half of an interface identifier that holds an IPv4 address (RFC 5214 section 6.1)."""
_LOOPBACK = IPv6Address("::1")


def is_isatap(address: IPv6Address) -> bool:
    """Whether the interface identifier holds an IPv4 address (RFC 5214)."""
    return _bits(address, 32) in _ISATAP


def embedded_ipv4(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that a datagram to this IPv6 address may end at, by its encoding.

    Local-use NAT64 (`LOCAL_NAT64`) is not decoded: where its prefix ends, only its owner knows.
    """
    if address == _LOOPBACK:
        return ()
    if any(address in network for network in _LAST_32_BITS) or is_isatap(address):
        return (IPv4Address(_bits(address, 0)),)
    if address in _6TO4:
        return (IPv4Address(_bits(address, 80)),)
    if address in _TEREDO:
        return (IPv4Address(_bits(address, 64)), IPv4Address(_bits(address, 0) ^ 0xFFFFFFFF))
    return ()


def _bits(address: IPv6Address, shift: int) -> int:
    return (int(address) >> shift) & 0xFFFFFFFF

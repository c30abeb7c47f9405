"""How often addresses may ask, in bounded memory."""

from __future__ import annotations

import socket

from callfleet_relay.quota import TokenBucket

MAX_PREFIXES = 32_768
"""Prefixes told apart; beyond twice as many the ones not seen for longest begin anew."""
BURST_SECONDS = 2.0


class PrefixRate:
    """A rate for each prefix of source addresses."""

    def __init__(self, per_second: int, *, ipv4_bytes: int, ipv6_bytes: int) -> None:
        """`per_second`: 0 for no limit. The others: how many bytes of an address count."""
        self._per_second = per_second
        self._lengths = {socket.AF_INET: ipv4_bytes, socket.AF_INET6: ipv6_bytes}
        self._young: dict[bytes, TokenBucket] = {}
        self._old: dict[bytes, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def admits(self, host: str, now: float) -> bool:
        """Whether one more of this address's prefix is within its rate at monotonic `now`."""
        if not self._per_second:
            return True
        prefix = self._prefix(host)
        bucket = self._young.get(prefix)
        if bucket is None:
            bucket = self._old.pop(prefix, None) or TokenBucket(
                self._per_second, now, self._per_second * BURST_SECONDS
            )
            if len(self._young) >= MAX_PREFIXES:
                self._old, self._young = self._young, {}
            self._young[prefix] = bucket
        return bucket.take(1, now)

    def _prefix(self, host: str) -> bytes:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.inet_pton(family, host.partition("%")[0])[: self._lengths[family]]


def reply_rate(per_second: int) -> PrefixRate:
    """Of answers to strangers: a network of 256 addresses, or a site's /56, is one victim."""
    return PrefixRate(per_second, ipv4_bytes=3, ipv6_bytes=7)


def allocation_rate(per_second: int) -> PrefixRate:
    """Of Allocates: one client is an IPv4 address, or a /64, of which it has every address."""
    return PrefixRate(per_second, ipv4_bytes=4, ipv6_bytes=8)

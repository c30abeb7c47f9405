"""ICMP errors of UDP sockets on Linux: ip(7), ipv6(7), "IP_RECVERR".

A socket that asks for them tells an error twice: once in place of whatever is sent or received
next, which did not happen then, and once from a queue of its own, with what was sent.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from callfleet_relay.message import IcmpError

MAX_READ = 64
"""Errors read of one socket before others get their turn."""

# Not in Python's socket module; include/uapi/linux/in.h, in6.h and errqueue.h.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ICMP_ORIGINS = frozenset({2, 3})
_OPTIONS = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_RECVERR),
    socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_RECVERR),
}


def ask_for_errors(bound: socket.socket) -> None:
    """Have errors queued from now on. Raises OSError."""
    bound.setsockopt(*_OPTIONS[socket.AddressFamily(bound.family)], 1)


def read_errors(bound: socket.socket) -> Iterator[IcmpError]:
    """Take what is queued, but for refusals of this system: who sent was told of those."""
    option = _OPTIONS[socket.AddressFamily(bound.family)]
    for _ in range(MAX_READ):
        try:
            _, ancillary, _, destination = bound.recvmsg(0, 256, _MSG_ERRQUEUE)
        except BlockingIOError:
            return
        for level, kind, data in ancillary:
            if (level, kind) != option or len(data) < _EXTENDED_ERROR.size:
                continue
            _, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
            if origin in _ICMP_ORIGINS:
                yield IcmpError(destination[:2], icmp_type, code, info)

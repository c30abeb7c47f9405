"""UDP sockets on Linux."""

from __future__ import annotations

import socket
import struct

from callfleet_relay.message import Address

LISTENER_BUFFER = 4 << 20
"""Bytes the kernel holds, in each direction, while the loop or the network card is busy: 0.3 s of
10,000 full datagrams a second. All clients of a listener share it."""
RELAY_BUFFER = 256 << 10

# Not in Python's socket module; include/uapi/asm-generic/socket.h, linux/in.h and linux/in6.h.
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_MEMINFO_DROPS = 8
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_WANT = 1
_PMTUDISC_PROBE = 3


def bind_udp(
    host: str, port: int, receive_buffer: int, send_buffer: int = 0, *, shared: bool = False
) -> socket.socket:
    """A non-blocking socket on one address; IPv6 ones take no IPv4. Raises OSError.

    `send_buffer`: 0 for the system's own size. `shared`: others of this address may be there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _enlarge(bound, socket.SO_RCVBUF, _SO_RCVBUFFORCE, receive_buffer)
        _enlarge(bound, socket.SO_SNDBUF, _SO_SNDBUFFORCE, send_buffer)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        error.filename = f"{host} port {port}"
        raise
    return bound


def bind_shared_udp(
    host: str, port: int, receive_buffer: int, send_buffer: int, *, count: int
) -> list[socket.socket]:
    """So many sockets on one address, among which the kernel divides its clients (SO_REUSEPORT).

    The address must be nobody else's. Raises OSError.
    """
    bound = [bind_udp(host, port, receive_buffer, send_buffer)]
    try:
        if count > 1:
            # Only now: before it is bound it would share with another program that shares too.
            bound[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        own = bound[0].getsockname()[1]
        while len(bound) < count:
            bound.append(bind_udp(host, own, receive_buffer, send_buffer, shared=True))
    except OSError:
        for each in bound:
            each.close()
        raise
    return bound


def _enlarge(bound: socket.socket, option: int, by_force: int, size: int) -> None:
    """As large as allowed: above net.core.rmem_max and wmem_max only CAP_NET_ADMIN helps."""
    if bound.getsockopt(socket.SOL_SOCKET, option) >= size:
        return
    bound.setsockopt(socket.SOL_SOCKET, option, size)
    if bound.getsockopt(socket.SOL_SOCKET, option) < size:
        try:
            bound.setsockopt(socket.SOL_SOCKET, by_force, size)
        except PermissionError:
            return


def socket_address(family: int, address: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """An address in the form in which `recvfrom` gives it."""
    host, port = address
    if family == socket.AF_INET:
        return host, port
    return host, port, 0, split_scope(host)[1]


def split_scope(host: str) -> tuple[str, int]:
    """A host without the interface that a link-local one names, and the interface's number or 0."""
    bare, _, interface = host.partition("%")
    return bare, socket.if_nametoindex(interface) if interface else 0


def kernel_drops(bound: socket.socket) -> int:
    """Datagrams the kernel has dropped because this socket's buffer was full; modulo 2**32."""
    values = bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(values)[_MEMINFO_DROPS])


def send_unfragmented(bound: socket.socket, data: bytes | memoryview, address: Address) -> int:
    """Send with the DF bit, or not at all. Raises OSError (EMSGSIZE where it is too long).

    What the system remembers of the path is passed over: whether it still holds, a router's ICMP
    error tells the client.
    """
    level, option = socket.IPPROTO_IP, _IP_MTU_DISCOVER
    if bound.family == socket.AF_INET6:
        level, option = socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER
    bound.setsockopt(level, option, _PMTUDISC_PROBE)
    try:
        return bound.sendto(data, address)
    finally:
        bound.setsockopt(level, option, _PMTUDISC_WANT)

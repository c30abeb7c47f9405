"""A datagram transport that empties its socket and never queues.

asyncio's own reads one datagram a loop round and buffers what the kernel does not take; a burst
of video packets then costs a loop round each, and late media would be sent later still.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

_BATCH = 32
_MAX_DATAGRAM = 2048
_SOCKET_BUFFER = 4 << 20
"""The kernel gives at most net.core.rmem_max and net.core.wmem_max."""


def bound(address: str, port: int = 0, *, shared: bool = False) -> socket.socket:
    """A socket that does not block on a port of `address`, 0 for a free one.

    `shared`: with other sockets of this user that are bound so; the kernel gives each peer to
    one of them. Raises OSError if the host has no such address or the port is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
        if family == socket.AF_INET6:  # a twin of IPv4 has the same number
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


class UdpTransport(asyncio.DatagramTransport):
    """One bound socket; datagrams that the kernel refuses are dropped and counted."""

    def __init__(self, sock: socket.socket, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__()
        self._socket = sock
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self.dropped = 0
        self._loop.add_reader(sock, self._readable)
        protocol.connection_made(self)

    @classmethod
    def bind(
        cls,
        address: str,
        protocol: asyncio.DatagramProtocol,
        port: int = 0,
        *,
        shared: bool = False,
    ) -> UdpTransport:
        """Bind a port of `address`, as `bound` does."""
        return cls(bound(address, port, shared=shared), protocol)

    def _readable(self) -> None:
        received = self._protocol.datagram_received
        for _ in range(_BATCH):
            if self._closing:
                return
            try:
                data, address = self._socket.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error of an earlier datagram
                self._protocol.error_received(error)
                return
            received(data, address)

    def sendto(  # type: ignore[override] # media needs neither other buffers nor a default peer
        self, data: bytes | memoryview, addr: tuple[str, int] | tuple[str, int, int, int]
    ) -> None:
        """Send at once or drop: media that waits is late."""
        if self._closing:
            return
        try:
            self._socket.sendto(data, addr)
        except BlockingIOError:
            self.dropped += 1
        except OSError as error:
            self._protocol.error_received(error)

    @property
    def address(self) -> tuple[str, int]:
        """The bound address and port."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def get_extra_info(self, name: str, default: object = None) -> object:
        """`sockname` only."""
        return self.address if name == "sockname" else default

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Close the socket; `connection_lost` follows in the next loop round."""
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._socket)
        self._loop.call_soon(self._close)

    def abort(self) -> None:
        """The same as `close`."""
        self.close()

    def _close(self) -> None:
        with contextlib.closing(self._socket):
            self._protocol.connection_lost(None)

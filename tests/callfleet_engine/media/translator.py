"""A network address translator on loopback that can forget its mappings, as real ones do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket

UdpAddress = tuple[str, int]


class Translator:
    """Clients send to `address`; the server sees other ones, new ones after `rebind`."""

    def __init__(self, server: UdpAddress) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._front = self._socket()
        self._outside: dict[UdpAddress, socket.socket] = {}
        self._cut: set[UdpAddress] = set()
        self._loop.add_reader(self._front, self._from_client)

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind(("127.0.0.1", 0))
        return made

    @property
    def address(self) -> UdpAddress:
        """Where the client believes the server to be."""
        found: UdpAddress = self._front.getsockname()
        return found

    @property
    def outside(self) -> set[UdpAddress]:
        """Where the server believes clients to be."""
        return {sock.getsockname() for sock in self._outside.values()}

    def rebind(self) -> None:
        """Forget all mappings: what comes for them reaches nobody."""
        for sock in self._outside.values():
            self._loop.remove_reader(sock)
            sock.close()
        self._outside = {}

    def cut(self) -> None:
        """The clients' sockets of this moment reach nobody any more; new ones do."""
        self._cut |= self._outside.keys()
        self.rebind()

    def _from_client(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            data, client = self._front.recvfrom(2048)
            if client in self._cut:
                return
            if client not in self._outside:
                sock = self._outside[client] = self._socket()
                self._loop.add_reader(sock, functools.partial(self._from_server, sock, client))
            self._outside[client].sendto(data, self._server)

    def _from_server(self, sock: socket.socket, client: UdpAddress) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            data, _ = sock.recvfrom(2048)
            self._front.sendto(data, client)

    def close(self) -> None:
        """Free all ports."""
        self.rebind()
        self._loop.remove_reader(self._front)
        self._front.close()

"""A bad network between one client and the engine, on loopback: loss, jitter and a slow link."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

UdpAddress = tuple[str, int]


@dataclass
class Way:
    """What happens to the datagrams of one direction.

    `rate` in bit/s (None: no limit), behind a queue of `queue` seconds that drops what comes when
    it is full; `loss` is a share; `jitter` seconds at most are added at random, which reorders.
    """

    rate: float | None = None
    queue: float = 0.25
    loss: float = 0.0
    jitter: float = 0.0


class Impaired:
    """Clients send to `address`, which passes on to the engine and back.

    Shares of media are lost, not of ICE and DTLS: a connection comes up first, and by a bound on
    time. `lost` counts them.
    """

    def __init__(
        self, server: UdpAddress, *, up: Way | None = None, down: Way | None = None
    ) -> None:
        self.up, self.down = up or Way(), down or Way()
        self.lost = 0
        self.passed = 0
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._chance = random.Random(11)  # noqa: S311 (the same losses each run)
        self._free = {"up": 0.0, "down": 0.0}
        self._front = self._socket()
        self._behind: dict[UdpAddress, socket.socket] = {}
        self._closed = False
        self._loop.add_reader(self._front, self._from_client)

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind(("127.0.0.1", 0))
        return made

    @property
    def address(self) -> UdpAddress:
        """Where the client believes the engine to be."""
        found: UdpAddress = self._front.getsockname()
        return found

    @property
    def now(self) -> float:
        """The time in seconds."""
        return self._loop.time()

    def _from_client(self) -> None:
        for data, client in _waiting(self._front):
            sock = self._behind.get(client)
            if sock is None:
                sock = self._behind[client] = self._socket()
                self._loop.add_reader(sock, self._from_server, sock, client)
            self._pass("up", self.up, data, functools.partial(_to, sock, self._server))

    def _from_server(self, sock: socket.socket, client: UdpAddress) -> None:
        for data, _ in _waiting(sock):
            self._pass("down", self.down, data, functools.partial(_to, self._front, client))

    def _pass(self, direction: str, way: Way, data: bytes, send: Callable[[bytes], object]) -> None:
        media = 128 <= data[0] < 192  # RFC 7983
        now = self._loop.time()
        if media and self._chance.random() < way.loss:
            self.lost += 1
            return
        at = now
        if way.rate is not None:
            start = max(self._free[direction], now)
            if start - now > way.queue:
                self.lost += 1
                return
            at = self._free[direction] = start + 8 * len(data) / way.rate
        if media and way.jitter:
            at += self._chance.uniform(0, way.jitter)
        self.passed += 1
        if at <= now:
            self._send(send, data)
        else:
            self._loop.call_at(at, self._send, send, data)

    def _send(self, send: Callable[[bytes], object], data: bytes) -> None:
        if not self._closed:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                send(data)

    def close(self) -> None:
        """Free all ports; what is on its way is lost."""
        self._closed = True
        for sock in [self._front, *self._behind.values()]:
            self._loop.remove_reader(sock)
            sock.close()


def _to(sock: socket.socket, address: UdpAddress, data: bytes) -> None:
    sock.sendto(data, address)


def _waiting(sock: socket.socket) -> list[tuple[bytes, UdpAddress]]:
    """At most 64 datagrams that have come."""
    found: list[tuple[bytes, UdpAddress]] = []
    with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
        while len(found) < 64:
            found += [sock.recvfrom(2048)]
    return found

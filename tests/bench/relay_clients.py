"""Clients that load a relay from one thread: over streams, and many at a time over UDP."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from functools import cache
from typing import Self

from aioice.stun import Method

from callfleet_relay.credentials import rest_password
from callfleet_relay.message import Address, Attribute, Message, parse
from tests.bench.relay_servers import SECRET, Server
from tests.callfleet_relay.support import UDP, Client, Credential, World, error_of, make_world

ANSWER_SECONDS = 2.0
CLIENT_HOST = "127.0.0.2"
"""Not the relays' own: what the kernel gives clients as ports are relayed ports there."""
CHANNEL = 0x4000
AT_A_TIME = 64
"""Requests of different clients that are on their way together."""


@cache
def credential() -> Credential:
    username = f"{int(time.time()) + 3600}:bench"
    return Credential(username, rest_password(SECRET.encode(), username))


@cache
def nowhere() -> World:
    """What a `Client` wants to have; those here have a network."""
    return make_world()


class StreamClient(Client):
    """A TURN client over TCP or TLS, blocking."""

    def __init__(self, server: Server, transport: str) -> None:
        plain = socket.create_connection((server.address[0], server.ports[transport]))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = plain
        if transport == "tls":
            context = server.certificate.client_context
            self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.settimeout(ANSWER_SECONDS)
        super().__init__(nowhere(), self.socket.getsockname(), credential=credential())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> list[Message]:
        """The reply to a request."""
        self.socket.sendall(data)
        head = self._read(20)
        return [parse(head + self._read(int.from_bytes(head[2:4], "big")))]

    def _read(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            part = self.socket.recv(size - len(read))
            assert part, "the server has closed the connection"
            read += part
        return read

    def read_waiting(self, buffer: bytearray) -> int:
        """Bytes that had come; without waiting, if the socket does not block."""
        total = 0
        try:
            while size := self.socket.recv_into(buffer):
                total += size
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        return total


class FleetClient(Client):
    """One of very many over UDP."""

    def __init__(self, server: Address) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(ANSWER_SECONDS)
        self.socket.bind((CLIENT_HOST, 0))
        self.socket.connect(server)
        super().__init__(nowhere(), self.socket.getsockname(), credential=credential())

    def send(self, data: bytes) -> list[Message]:
        """The reply to a request, which is sent once."""
        self.socket.send(data)
        return [parse(self.socket.recv(2048))]


class Fleet:
    """So many clients, which do the same at about the same time."""

    def __init__(self, server: Server, count: int) -> None:
        self.clients = [FleetClient(server.address) for _ in range(count)]
        self.unanswered = 0
        self.refused: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.socket.close()

    def allocate(self) -> None:
        """Two requests each: one that is challenged, and one with the credential."""
        for clients in self._groups():
            for client, answer in self._ask(clients, Method.ALLOCATE, UDP):
                client.nonce = answer.first(Attribute.NONCE)
            self._count(self._ask(clients, Method.ALLOCATE, UDP))

    def bind_channels(self, peer: Address) -> None:
        """A channel, and with it a permission, each."""
        self._count([(client, client.bind(CHANNEL, peer)) for client in self.clients])

    def refresh(self) -> None:
        """One Refresh each."""
        for clients in self._groups():
            self._count(self._ask(clients, Method.REFRESH))

    def _groups(self) -> list[Sequence[FleetClient]]:
        starts = range(0, len(self.clients), AT_A_TIME)
        return [self.clients[start : start + AT_A_TIME] for start in starts]

    def _ask(
        self, clients: Sequence[FleetClient], method: int, *attributes: tuple[int, bytes]
    ) -> list[tuple[FleetClient, Message]]:
        """What those said that answered; nothing is sent twice."""
        for client in clients:
            client.socket.send(client.build(method, attributes))
        answers = []
        for client in clients:
            try:
                answers.append((client, parse(client.socket.recv(2048))))
            except TimeoutError:
                self.unanswered += 1
        return answers

    def _count(self, answers: list[tuple[FleetClient, Message]]) -> None:
        codes = (error_of(answer) for _, answer in answers)
        self.refused += [code for code in codes if code is not None]

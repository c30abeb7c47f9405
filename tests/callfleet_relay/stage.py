"""What a plane makes of a schedule of packets and of the core's events.

A plane stands between three clients and four peers, two of each family. What a step has sent in is
all accounted for before the next one: each datagram is relayed, handed over or counted as dropped.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from aioice.stun import Class, Method

from callfleet_relay.errors import RequestError
from callfleet_relay.events import (
    BindChannel,
    CloseRelay,
    ExpectClient,
    FiveTuple,
    Forbid,
    MoveClient,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    IcmpError,
    MalformedMessageError,
    Message,
    encode,
    pack_address,
    parse,
)
from callfleet_relay.peers import Ports
from callfleet_relay.requests import read_send
from callfleet_relay.transport.dataplane import DataPlane

from .planes import OpenPlane
from .steps import CLIENTS, SESSIONS, Step, channel_data

HOSTS = {4: "127.0.0.1", 6: "::1"}
SECONDS = 20.0
FENCE = b"\0\0fence"
TRANSACTION = bytes(12)


@dataclass
class Session:
    """What the core would know of one."""

    number: int
    client: int
    port: int
    families: set[int] = field(default_factory=lambda: {4, 6})
    hosts: dict[str, Ports] = field(default_factory=dict)
    channels: dict[int, Address] = field(default_factory=dict)


def _bound(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind((host, 0))
    return made


def _address(bound: socket.socket) -> Address:
    host, port = bound.getsockname()[:2]
    return host, port


def _closed_port(host: str) -> Address:
    with _bound(host) as bound:
        return _address(bound)


class Surroundings:
    """Clients and peers: the same ones for each plane that is compared."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.clients = [stack.enter_context(_bound(HOSTS[4])) for _ in range(CLIENTS)]
            hosts = [HOSTS[4], HOSTS[4], HOSTS[6], HOSTS[6]]
            self.peers = [stack.enter_context(_bound(host)) for host in hosts]
            self.closed = {family: _closed_port(host) for family, host in HOSTS.items()}
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()


class Stage:
    """One plane in its surroundings, and a core that knows just enough."""

    def __init__(self, open_plane: OpenPlane, around: Surroundings) -> None:
        self.clients, self.peers, self.closed = around.clients, around.peers, around.closed
        self.plane: DataPlane = open_plane(
            [(HOSTS[4], 0)],
            relay_hosts=list(HOSTS.values()),
            receiver=self._receive,
            icmp_receiver=lambda session, error: self.errors.append((session, error)),
            arrival_receiver=self._arrived,
        )
        self.handed: list[tuple[int, bytes]] = []
        self.errors: list[tuple[int, IcmpError]] = []
        self.arrivals: list[tuple[int, int]] = []
        self._fences = 0
        self._into = self._handed_over = self._core_sends = self._replies = 0
        self._received: dict[str, int] = defaultdict(int)
        self._opened = 0
        self.sessions = [self._open(at) for at in range(SESSIONS)]
        self.spare = SESSIONS
        """The client that has no session."""

    def close(self) -> None:
        self.plane.close()

    async def run(self, step: Step) -> dict[str, Any]:
        """What comes of a step: every byte at every socket, and every figure."""
        act: Callable[..., None] = getattr(self, f"_{step[0]}")
        expected_errors = len(self.errors) + (step[0] == "unreachable" and self._is_open(step))
        act(*step[1:])
        await self._until(self._is_accounted_for, "datagrams to be accounted for")
        self._fences = 0
        self._put_in(self.clients[0], FENCE)
        await self._until(lambda: self._fences == 1, "the fence")
        await self._until(lambda: len(self.errors) >= expected_errors, "an ICMP error")
        return await self._outcome()

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        while not holds():
            assert loop.time() < end, f"waited in vain for {what}: {self.plane.figures()}"
            await asyncio.sleep(0.0005)

    def _is_accounted_for(self) -> bool:
        figures = self.plane.figures()
        relayed = figures.traffic.packets
        ended = self._handed_over + relayed + sum(figures.drops.values())
        return ended == self._into + self._core_sends

    async def _outcome(self) -> dict[str, Any]:
        traffic = self.plane.figures().traffic
        at_clients: list[list[tuple[str, bytes]]] = [[] for _ in self.clients]
        at_peers: list[list[tuple[str, bytes]]] = [[] for _ in self.peers]

        def everything_is_there() -> bool:
            self._read(self.clients, at_clients, "clients")
            self._read(self.peers, at_peers, "peers")
            wanted = traffic.packets_to_client + self._replies
            return self._received["clients"] == wanted and (
                self._received["peers"] + self._received["closed"] == traffic.packets_from_client
            )

        await self._until(everything_is_there, "what was relayed to arrive")
        outcome = {
            "clients": at_clients,
            "peers": at_peers,
            "handed": self.handed,
            "arrivals": self.arrivals,
            "errors": [(session, *error) for session, error in self.errors],
            "figures": self.plane.figures(),
        }
        self.handed, self.errors, self.arrivals = [], [], []
        return outcome

    def _read(
        self, sockets: list[socket.socket], into: list[list[tuple[str, bytes]]], side: str
    ) -> None:
        for bound, found in zip(sockets, into, strict=True):
            while True:
                try:
                    data, source = bound.recvfrom(65536)
                except BlockingIOError:
                    break
                self._received[side] += 1
                found.append((self._name(source[:2]), _without_transaction(data)))

    def _name(self, address: Address) -> str:
        """Of a source, alike for both planes."""
        if address == self.plane.listening[0]:
            return "listener"
        return next(f"session {each.number}" for each in self.sessions if each.port == address[1])

    def _put_in(self, source: socket.socket, data: bytes, to: Address | None = None) -> None:
        source.sendto(data, to or self.plane.listening[0])
        self._into += 1

    def _open(self, client: int) -> Session:
        self._opened += 1
        five_tuple = FiveTuple(0, _address(self.clients[client]))
        for _ in range(100):
            port = _closed_port(HOSTS[4])[1]
            event = OpenRelay(self._opened, five_tuple, port, (4, 6))
            if self.plane.open_relay(event):
                return Session(self._opened, client, port)
        raise AssertionError("no port is free")

    def _is_open(self, step: Step) -> bool:
        return step[2] in self.sessions[step[1]].families

    def _receive(self, data: bytes, five_tuple: FiveTuple) -> None:
        self._handed_over += 1
        if data == FENCE:
            self._fences += 1
            return
        client = [_address(each) for each in self.clients].index(five_tuple.client)
        try:
            message = parse(data)
        except MalformedMessageError:
            self.handed.append((client, data))
            return
        if (message.method, message.message_class) != (Method.SEND, Class.INDICATION):
            self.handed.append((client, data))
            return
        session = next((each for each in self.sessions if each.client == client), None)
        if session is not None:
            self._judge(session, message)

    def _judge(self, session: Session, message: Message) -> None:
        try:
            peer, data, unfragmented = read_send(message, frozenset(session.families), frozenset())
        except RequestError:
            return
        ports = session.hosts.get(peer[0], frozenset())
        if ports is None or peer[1] in ports:
            self._core_sends += 1
            self.plane.send_to_peer(SendToPeer(session.number, peer, data, unfragmented))

    def _arrived(self, number: int, five_tuple: FiveTuple) -> None:
        self.arrivals.append((number, self.spare))
        self.plane.move_client(MoveClient(number, five_tuple))
        session = next(each for each in self.sessions if each.number == number)
        session.client, self.spare = self.spare, session.client

    def _from_client(self, client: int, datagrams: list[bytes]) -> None:
        for data in datagrams:
            self._put_in(self.clients[client], data)

    def _send(
        self, client: int, peer: int, datas: list[bytes], extra: list[tuple[int, bytes]]
    ) -> None:
        for data in datas:
            to = pack_address(_address(self.peers[peer]), TRANSACTION)
            body = [(int(Attribute.XOR_PEER_ADDRESS), to), (int(Attribute.DATA), data), *extra]
            message = encode(Method.SEND, Class.INDICATION, TRANSACTION, body)
            self._put_in(self.clients[client], message)

    def _from_peer(self, peer: int, session: int, datas: list[bytes]) -> None:
        host, _ = _address(self.peers[peer])
        if (6 if ":" in host else 4) in self.sessions[session].families:
            for data in datas:
                self._put_in(self.peers[peer], data, (host, self.sessions[session].port))

    def _permit(self, session: int, peer: int, which: str) -> None:
        host, port = _address(self.peers[peer])
        ports: Ports = {"all": None, "own": frozenset({port}), "none": frozenset({1})}[which]
        self.sessions[session].hosts[host] = ports
        self.plane.permit(Permit(self.sessions[session].number, host, ports))

    def _forbid(self, session: int, peer: int) -> None:
        host, _ = _address(self.peers[peer])
        self.sessions[session].hosts.pop(host, None)
        self.plane.forbid(Forbid(self.sessions[session].number, host))

    def _bind(self, session: int, number: int, peer: int) -> None:
        """As the core does: neither number nor peer are bound otherwise."""
        known, address = self.sessions[session], _address(self.peers[peer])
        is_family_there = (6 if ":" in address[0] else 4) in known.families
        taken = known.channels.get(number, address) != address or any(
            bound == address and each != number for each, bound in known.channels.items()
        )
        if is_family_there and not taken:
            known.channels[number] = address
            self.plane.bind_channel(BindChannel(known.number, number, address))

    def _unbind(self, session: int, number: int) -> None:
        known = self.sessions[session]
        peer = known.channels.pop(number, None)
        if peer is not None:
            self.plane.unbind_channel(UnbindChannel(known.number, number, peer))

    def _move(self, session: int, data: bytes) -> None:
        """Its client is expected at the spare one's, and comes."""
        spare = self.clients[self.spare]
        five_tuple = FiveTuple(0, _address(spare))
        self.plane.expect_client(ExpectClient(self.sessions[session].number, five_tuple))
        self._put_in(spare, channel_data(0x4000, data, 0, 0))

    def _close_family(self, session: int, family: int) -> None:
        known = self.sessions[session]
        if known.families == {4, 6}:
            for number, peer in list(known.channels.items()):
                if (":" in peer[0]) == (family == 6):
                    self._unbind(session, number)
            known.families.discard(family)
            self.plane.close_relay(CloseRelay(known.number, family))

    def _reopen(self, session: int) -> None:
        self.plane.close_session(self.sessions[session].number)
        self.sessions[session] = self._open(self.sessions[session].client)

    def _reply(self, client: int, data: bytes) -> None:
        self._replies += 1
        five_tuple = FiveTuple(0, _address(self.clients[client]))
        self.plane.reply(Reply(five_tuple, data))

    def _unreachable(self, session: int, family: int) -> None:
        known = self.sessions[session]
        if family in known.families:
            self._core_sends += 1
            self._received["closed"] += 1
            peer = self.closed[family]
            self.plane.send_to_peer(SendToPeer(known.number, peer, b"lost", dont_fragment=False))


def _without_transaction(data: bytes) -> bytes:
    """A Data indication's transaction ID is random, and masks an IPv6 address."""
    try:
        message = parse(data)
    except MalformedMessageError:
        return data
    if (message.method, message.message_class) != (Method.DATA, Class.INDICATION):
        return data
    (kind, value), *_ = message.attributes
    if kind != Attribute.XOR_PEER_ADDRESS or len(value) < 20:
        return data[:8] + TRANSACTION + data[20:]
    mask = b"\x21\x12\xa4\x42" + message.transaction_id
    unmasked = bytes(one ^ two for one, two in zip(value[4:], mask, strict=True))
    return data[:8] + TRANSACTION + data[20:28] + unmasked + data[44:]

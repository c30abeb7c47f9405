"""A TURN client's side of the protocol, and a server without sockets to speak to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Self, TypeVar

from aioice.stun import Class, Method

from callfleet_relay.allocation import RelayedHost, family_of
from callfleet_relay.auth import Authenticator, Instant
from callfleet_relay.credentials import (
    PasswordAlgorithm,
    consumer_key,
    key_id,
    long_term_key,
    read_users,
    rest_password,
    userhash,
)
from callfleet_relay.drain import AdmissionGate
from callfleet_relay.events import (
    AllocateAnswered,
    Event,
    FiveTuple,
    OpenRelay,
    Outcome,
    Reply,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    IntegrityKey,
    Message,
    encode,
    pack_address,
    parse,
    unpack_address,
)
from callfleet_relay.peers import PeerPolicy
from callfleet_relay.ports import RelayPorts
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.rates import PrefixRate
from callfleet_relay.server import TurnServer
from callfleet_relay.tickets import Tickets

SECRET = b"a-secret-of-more-than-32-characters"
REALM = "test"
REPLY_SECONDS = 1.0
ATTEMPTS = 8
UNIX = 1_800_000_000.0
START = Instant(1000.0, UNIX)
STREAM = 7
"""The listener whose clients have TCP."""
TCP = (int(Attribute.REQUESTED_TRANSPORT), bytes([6, 0, 0, 0]))
UDP = (int(Attribute.REQUESTED_TRANSPORT), bytes([17, 0, 0, 0]))
PUBLIC_PEER = ("8.8.4.4", 5000)
V6_RELAY = "2620:0:ccc::2"
V6_PEER = ("2620:fe::fe", 5000)

T = TypeVar("T")

PASSWORD_ALGORITHMS = bytes([0, 2, 0, 0, 0, 1, 0, 0])
"""SHA-256 and MD5, as the server offers them."""

Attributes = Iterable[tuple[int, bytes]]


def attribute(kind: Attribute, value: bytes) -> tuple[int, bytes]:
    return int(kind), value


def lifetime(seconds: int) -> tuple[int, bytes]:
    return attribute(Attribute.LIFETIME, seconds.to_bytes(4, "big"))


def channel_number(number: int) -> tuple[int, bytes]:
    return attribute(Attribute.CHANNEL_NUMBER, number.to_bytes(2, "big") + bytes(2))


@dataclass(frozen=True)
class Credential:
    username: str
    password: str

    @property
    def key(self) -> bytes:
        return self.key_of(PasswordAlgorithm.MD5)

    def key_of(self, algorithm: PasswordAlgorithm) -> bytes:
        return long_term_key(self.username, REALM, self.password, algorithm)


def plain_credential(
    user: str = "alice", *, expires: float = UNIX + 3600, secret: bytes = SECRET
) -> Credential:
    username = f"{int(expires)}:{user}"
    return Credential(username, rest_password(secret, username))


@cache
def real_credential() -> Credential:
    """By the real clock. All that ask have the same: its expiry is part of the user's name."""
    return plain_credential(expires=time.time() + 3600)


def consumer_credential(
    participant: str = "p1",
    *,
    consumer: str = "calls/main",
    expires: float = UNIX + 3600,
    secret: bytes = SECRET,
) -> Credential:
    username = f"{int(expires)}:{key_id(secret)}:{consumer}:{participant}"
    return Credential(username, rest_password(consumer_key(secret, consumer), username))


@dataclass
class World:
    """A server, its clock, and the relay sockets it has asked for."""

    server: TurnServer
    now: Instant = START
    refused_ports: set[int] = field(default_factory=set)
    """Ports that some other program holds."""

    def sleep(self, seconds: float) -> list[Event]:
        """Let time pass and the server's timer run, once at the end."""
        self.now = Instant(self.now.monotonic + seconds, self.now.unix + seconds)
        return self.server.handle_timer(self.now)

    def receive(self, data: bytes, five_tuple: FiveTuple) -> list[Event]:
        """What happens on a datagram, sockets being opened as asked for."""
        return self.settle(self.server.receive(data, five_tuple, self.now))

    def settle(self, events: list[Event]) -> list[Event]:
        settled: list[Event] = []
        for event in events:
            settled.append(event)
            if isinstance(event, OpenRelay):
                if event.port in self.refused_ports:
                    settled += self.settle(self.server.relay_refused(event.session))
                else:
                    settled += self.settle(self.server.relay_opened(event.session, self.now))
        return settled


def make_world(
    *,
    allowed: Iterable[str] = ("public",),
    own: Iterable[Address] = (),
    relayed_hosts: Iterable[str] = (),
    ports: tuple[int, int] = (50000, 50099),
    capacity: int = 50,
    per_user: int = 10,
    max_lifetime: float = 86_400,
    grace: float = 60.0,
    relay_host: str = "192.0.2.1",
    second_host: str | None = None,
    users: str | None = None,
    secrets: tuple[bytes, ...] = (SECRET,),
    reply_rate: PrefixRate | None = None,
    allocation_rate: PrefixRate | None = None,
    dont_fragment: bool = True,
    max_peer_connections: int = 100,
    mobility: bool = True,
) -> World:
    server = TurnServer(
        relayed=[RelayedHost(host, family_of(host)) for host in (relay_host, second_host) if host],
        authenticator=Authenticator(
            realm=REALM,
            secrets=secrets,
            nonce_secret=b"n" * 32,
            max_lifetime=max_lifetime,
            users=None if users is None else read_users(users, REALM),
        ),
        policy=PeerPolicy(allowed, own, relayed_hosts),
        reply_rate=reply_rate,
        allocation_rate=allocation_rate,
        dont_fragment=dont_fragment,
        streams=frozenset({STREAM}),
        max_peer_connections=max_peer_connections,
        tickets=Tickets(b"t" * 32) if mobility else None,
        ports=RelayPorts(*ports, Random(1)),  # noqa: S311 - so that a test can be repeated
        quota=AllocationQuota(total=capacity, per_user=per_user),
        gate=AdmissionGate(),
        credential_grace=grace,
    )
    return World(server)


@dataclass
class Client:
    """One client transport address; it answers the server's challenge by itself."""

    world: World
    address: Address = ("198.51.100.7", 40000)
    credential: Credential = field(default_factory=plain_credential)
    nonce: bytes | None = None
    algorithm: PasswordAlgorithm | None = None
    """Named in its requests, which carry MESSAGE-INTEGRITY-SHA256 then."""
    anonymous: bool = False
    """It sends USERHASH in place of USERNAME."""
    events: list[Event] = field(default_factory=list)
    """What the last datagram made happen."""
    _transactions: int = 0
    listener: int = 0

    @property
    def five_tuple(self) -> FiveTuple:
        return FiveTuple(self.listener, self.address)

    def transaction_id(self) -> bytes:
        self._transactions += 1
        return self.address[1].to_bytes(4, "big") + self._transactions.to_bytes(8, "big")

    def build(
        self,
        method: int,
        attributes: Attributes = (),
        *,
        transaction_id: bytes | None = None,
        fingerprint: bool = False,
    ) -> bytes:
        """A signed request, or an unsigned one while there is no nonce."""
        body = list(attributes)
        if self.nonce is not None:
            body += [
                self._name(),
                attribute(Attribute.REALM, REALM.encode()),
                attribute(Attribute.NONCE, self.nonce),
                *self._algorithms(),
            ]
        return encode(
            method,
            Class.REQUEST,
            transaction_id or self.transaction_id(),
            body,
            key=self.key if self.nonce is not None else None,
            fingerprint=fingerprint,
        )

    @property
    def key(self) -> IntegrityKey:
        """What it signs with, and its answers are signed with."""
        value = self.credential.key_of(self.algorithm or PasswordAlgorithm.MD5)
        return IntegrityKey(value, sha256=self.algorithm is not None)

    def _name(self) -> tuple[int, bytes]:
        username = self.credential.username
        if self.anonymous:
            return attribute(Attribute.USERHASH, userhash(username, REALM))
        return attribute(Attribute.USERNAME, username.encode())

    def _algorithms(self) -> Attributes:
        if self.algorithm is None:
            return ()
        chosen = self.algorithm.to_bytes(2, "big") + bytes(2)
        return (
            attribute(Attribute.PASSWORD_ALGORITHMS, PASSWORD_ALGORITHMS),
            attribute(Attribute.PASSWORD_ALGORITHM, chosen),
        )

    def send(self, data: bytes) -> list[Message]:
        """The server's replies to a datagram."""
        self.events = self.world.receive(data, self.five_tuple)
        return [parse(event.data) for event in self.events if isinstance(event, Reply)]

    def ask(self, method: int, attributes: Attributes = ()) -> Message:
        """The one reply to a request, after a challenge where there is one."""
        if self.nonce is None:
            (challenge,) = self.send(self.build(method, attributes))
            assert error_of(challenge) == 401
            self.nonce = challenge.first(Attribute.NONCE)
        (reply,) = self.send(self.build(method, attributes))
        return reply

    def allocate(self, *attributes: tuple[int, bytes]) -> Message:
        return self.ask(Method.ALLOCATE, [UDP, *attributes])

    def refresh(self, seconds: int | None = None) -> Message:
        return self.ask(Method.REFRESH, [] if seconds is None else [lifetime(seconds)])

    def permit(self, *peers: Address) -> Message:
        transaction_id = self.transaction_id()
        values = [
            attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))
            for peer in peers
        ]
        request = self.build(Method.CREATE_PERMISSION, values, transaction_id=transaction_id)
        (reply,) = self.send(request)
        return reply

    def bind(self, number: int, peer: Address) -> Message:
        transaction_id = self.transaction_id()
        value = attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))
        request = self.build(
            Method.CHANNEL_BIND, [channel_number(number), value], transaction_id=transaction_id
        )
        (reply,) = self.send(request)
        return reply

    def send_indication(self, peer: Address, data: bytes, *more: tuple[int, bytes]) -> list[Event]:
        transaction_id = self.transaction_id()
        body = [
            attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id)),
            attribute(Attribute.DATA, data),
            *more,
        ]
        indication = encode(Method.SEND, Class.INDICATION, transaction_id, body)
        assert self.send(indication) == []
        return self.events


class UdpClient(Client):
    """A client on the network: each request waits for its one reply."""

    def __init__(self, server: Address, credential: Credential | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(REPLY_SECONDS)
        self.socket.connect(server)
        super().__init__(
            make_world(), self.socket.getsockname(), credential=credential or real_credential()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> list[Message]:
        """Sent again until there is an answer, as RFC 8489 section 6.2.1 has it."""
        for _ in range(ATTEMPTS):
            self.socket.send(data)
            try:
                reply = parse(self.socket.recv(2048))
            except TimeoutError:
                continue
            if reply.transaction_id == data[8:20]:
                return [reply]
        raise TimeoutError(f"no answer to {ATTEMPTS} requests")


def error_of(message: Message) -> int | None:
    """The error code of a reply, None of a success."""
    value = message.first(Attribute.ERROR_CODE)
    return None if value is None else value[2] * 100 + value[3]


def seconds_of(message: Message) -> int:
    """LIFETIME of a reply."""
    value = message.first(Attribute.LIFETIME)
    assert value is not None
    return int.from_bytes(value, "big")


def relayed_of(message: Message) -> list[Address]:
    """Relayed addresses of an Allocate's reply."""
    values = message.every(Attribute.XOR_RELAYED_ADDRESS)
    return [unpack_address(value, message.transaction_id) for value in values]


def only(events: Iterable[object], kind: type[T]) -> list[T]:
    """Those of one kind."""
    return [event for event in events if isinstance(event, kind)]


def outcomes(client: Client) -> list[Outcome]:
    """How the last Allocate was counted."""
    return [event.outcome for event in only(client.events, AllocateAnswered)]

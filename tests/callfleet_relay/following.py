"""A state machine that follows a server's events as a data plane does, and keeps its own books."""

from __future__ import annotations

from aioice.stun import Method
from hypothesis.stateful import RuleBasedStateMachine

from callfleet_relay.allocation import family_of
from callfleet_relay.credentials import PasswordAlgorithm
from callfleet_relay.events import (
    AdmitPeer,
    BindChannel,
    BindPeer,
    ClosePeer,
    CloseRelay,
    ConnectPeer,
    Event,
    ExpectClient,
    Forbid,
    MoveClient,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    SessionEnded,
    UnbindChannel,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    parse,
)

from .support import (
    STREAM,
    UNIX,
    V6_RELAY,
    Client,
    World,
    attribute,
    make_world,
    plain_credential,
)

CAPACITY, PER_USER, PORTS = 4, 3, (50000, 50005)
MAX_PEER_CONNECTIONS = 3
TICKET = attribute(Attribute.MOBILITY_TICKET, b"")
HOSTS = ("10.0.0.1", "10.0.0.2", "fd00::1")
MAX_REPLY = 500
GRACE = 10


class FollowingMachine(RuleBasedStateMachine):
    """Follows the events as a data plane does and compares with its own book-keeping."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = make_world(
            allowed=(),
            ports=PORTS,
            capacity=CAPACITY,
            per_user=PER_USER,
            grace=GRACE,
            second_host=V6_RELAY,
            max_peer_connections=MAX_PEER_CONNECTIONS,
        )
        self.server = self.world.server
        self.clients = [
            Client(
                self.world,
                ("198.51.100.7", 40000 + number),
                plain_credential(f"user{number % 3}", expires=UNIX + 900 + number),
                algorithm=PasswordAlgorithm.SHA256 if number % 2 else None,
                listener=STREAM if number >= 4 else 0,
            )
            for number in range(6)
        ]
        self.opening: dict[int, OpenRelay] = {}
        self.live: dict[int, tuple[int, set[int]]] = {}
        """Port and families of each session that has its socket."""
        self.permitted: dict[int, set[str]] = {}
        self.channels: dict[int, dict[int, Address]] = {}
        self.expires: dict[int, float] = {}
        """When each session ends at the latest, by what its client was told."""
        self.session_of: dict[Address, int] = {}
        self.moving: dict[int, Address] = {}
        self.tcp: set[int] = set()
        """Sessions that relay TCP."""
        self.peers: dict[int, tuple[int, Address]] = {}
        """Session and peer of each TCP connection that is being made or there."""
        self.tickets: list[bytes] = []
        self.pushed: set[str] = set()
        self.delayed: list[tuple[int, bytes]] = []
        self.tokens: list[bytes] = []

    def follow(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case OpenRelay(session):
                    self.opening[session] = event
                case SessionEnded() | CloseRelay():
                    self.follow_end(event)
                case ExpectClient() | MoveClient():
                    self.follow_move(event)
                case ConnectPeer() | AdmitPeer() | BindPeer() | ClosePeer():
                    self.follow_peer(event)
                case Reply(five_tuple, data):
                    self.read_reply(five_tuple.client, data)
                case _:
                    self.follow_access(event)

    def follow_access(self, event: Event) -> None:
        match event:
            case Permit(session, host, _):
                assert family_of(host) in self.live[session][1]
                self.permitted[session].add(host)
            case Forbid(session, host):
                self.permitted[session].discard(host)
            case BindChannel(session, number, peer):
                assert peer[0] in self.permitted[session]
                self.channels[session][number] = peer
            case UnbindChannel(session, number, _):
                self.channels[session].pop(number, None)
            case SendToPeer(session, peer, _, _):
                assert peer[0] in self.permitted[session] & self.pushed

    def follow_move(self, event: ExpectClient | MoveClient) -> None:
        if isinstance(event, ExpectClient):
            self.moving[event.session] = event.five_tuple.client
            return
        assert self.moving.pop(event.session) == event.five_tuple.client
        (old,) = [each for each, session in self.session_of.items() if session == event.session]
        del self.session_of[old]
        self.session_of[event.five_tuple.client] = event.session

    def follow_peer(self, event: ConnectPeer | AdmitPeer | BindPeer | ClosePeer) -> None:
        if isinstance(event, ClosePeer):
            assert self.peers.pop(event.connection)[0] == event.session
        elif isinstance(event, BindPeer):
            assert self.peers[event.connection][0] == event.session
            assert event.five_tuple.listener == STREAM
        else:
            assert event.session in self.tcp
            assert event.peer[0] in self.pushed
            if isinstance(event, AdmitPeer):
                assert event.peer[0] in self.permitted[event.session]
            assert (event.session, event.peer) not in self.peers.values()
            self.peers[event.connection] = event.session, event.peer

    def follow_end(self, event: SessionEnded | CloseRelay) -> None:
        session = event.session
        if isinstance(event, CloseRelay):
            self.live[session][1].remove(event.family)
            assert self.live[session][1]
        else:
            assert self.live.pop(session)[0] == event.port
            del self.permitted[session], self.channels[session], self.expires[session]
            del self.session_of[event.five_tuple.client]
            self.moving.pop(session, None)
            self.tcp.discard(session)
            self.peers = {n: each for n, each in self.peers.items() if each[0] != session}

    def read_reply(self, client: Address, data: bytes) -> None:
        assert len(data) < MAX_REPLY
        message = parse(data)
        granted = message.first(Attribute.LIFETIME)
        token = message.first(Attribute.RESERVATION_TOKEN)
        if token is not None:
            self.tokens.append(token)
        ticket = message.first(Attribute.MOBILITY_TICKET)
        if ticket is not None:
            self.tickets.append(ticket)
        coming = [each for each, address in self.moving.items() if address == client]
        session = self.session_of.get(client, coming[0] if coming else None)
        if granted is not None and session is not None:
            ends = self.world.now.monotonic + int.from_bytes(granted, "big")
            # The answer to a repeated Allocate is the old one, and extends nothing.
            if message.method == Method.REFRESH or session not in self.expires:
                self.expires[session] = max(ends, self.expires.get(session, 0.0))

    def deliver(self, number: int, data: bytes) -> None:
        self.follow(self.server.receive(data, self.clients[number].five_tuple, self.world.now))

    def send(self, number: int, data: bytes, copies: int) -> None:
        """No copy: lost. Sockets open at once but for the last copy of three, which comes late."""
        for copy in range(copies):
            if copy == 2:
                self.delayed.append((number, data))
            else:
                self.deliver(number, data)
                self.open_sockets()

    def open_sockets(self) -> None:
        while self.opening:
            session, event = self.opening.popitem()
            if event.port in self.world.refused_ports:
                self.follow(self.server.relay_refused(session))
                continue
            assert event.port not in {port for port, _ in self.live.values()}
            self.live[session] = (event.port, set(event.families))
            self.permitted[session], self.channels[session] = set(), {}
            self.session_of[event.five_tuple.client] = session
            if event.tcp:
                assert event.five_tuple.listener == STREAM
                self.tcp.add(session)
            self.follow(self.server.relay_opened(session, self.world.now))

    def with_nonce(self, number: int) -> Client:
        client = self.clients[number]
        challenge = self.server.authenticator.challenge(client.address, self.world.now)
        client.nonce = challenge[1][1]
        return client

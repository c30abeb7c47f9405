"""Any order of what clients, peers, the network, time and the operator do.

Requests are dropped, repeated and delayed; sockets open late or not at all; both clocks jump. The
rules hold at every moment, and in the end all is given back.
"""

from __future__ import annotations

from ipaddress import ip_address

from aioice.stun import Method
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
    FiveTuple,
    Forbid,
    MoveClient,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    SessionEnd,
    SessionEnded,
    UnbindChannel,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    IcmpError,
    TcpMethod,
    pack_address,
    parse,
)
from callfleet_relay.peers import PeerEntry

from .fuzzing import EXAMPLES
from .support import (
    SECRET,
    STREAM,
    TCP,
    UDP,
    UNIX,
    V6_RELAY,
    Client,
    World,
    attribute,
    lifetime,
    make_world,
    plain_credential,
)

CAPACITY, PER_USER, PORTS = 4, 3, (50000, 50005)
MAX_PEER_CONNECTIONS = 3
TICKET = attribute(Attribute.MOBILITY_TICKET, b"")
HOSTS = ("10.0.0.1", "10.0.0.2", "fd00::1")
MAX_REPLY = 500
GRACE = 10

clients = st.integers(0, 5)
hosts = st.sampled_from(HOSTS)
peers = st.tuples(hosts, st.integers(5000, 5001))
wishes = st.sampled_from(
    [
        [],
        [],
        [attribute(Attribute.EVEN_PORT, b"\0")],
        [attribute(Attribute.EVEN_PORT, b"\x80")],
        [attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")],
        [attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")],
        [attribute(Attribute.DONT_FRAGMENT, b"")],
        [TICKET],
    ]
)
families = st.sampled_from(
    [
        [],
        [attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0")],
        [attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")],
    ]
)


class TurnMachine(RuleBasedStateMachine):
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

    @initialize()
    def open_peers(self) -> None:
        self.push(set(HOSTS))

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

    @rule(number=clients, seconds=st.integers(0, 4000), wish=wishes, copies=st.integers(0, 3))
    def allocate(
        self, number: int, seconds: int, wish: list[tuple[int, bytes]], copies: int
    ) -> None:
        body = [UDP, lifetime(seconds), *wish]
        self.send(number, self.with_nonce(number).build(Method.ALLOCATE, body), copies)

    @rule(first=clients, second=clients)
    def allocate_while_a_socket_opens(self, first: int, second: int) -> None:
        for number in (first, second, first):
            self.deliver(number, self.with_nonce(number).build(Method.ALLOCATE, [UDP]))
        self.open_sockets()

    @rule(number=st.integers(4, 5))
    def allocate_for_tcp(self, number: int) -> None:
        self.send(number, self.with_nonce(number).build(Method.ALLOCATE, [TCP]), 1)

    @rule(number=clients, peer=peers)
    def connect(self, number: int, peer: Address) -> None:
        client = self.with_nonce(number)
        transaction_id = client.transaction_id()
        body = [attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))]
        request = client.build(TcpMethod.CONNECT, body, transaction_id=transaction_id)
        self.deliver(number, request)

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), happens=st.sampled_from(["connected", "failed", "closed"]))
    def a_connection_changes(self, data: st.DataObject, happens: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.peers)))
        tcp = self.server.tcp
        if happens == "connected":
            self.follow(tcp.connected(number, self.world.now))
            return
        self.follow(tcp.failed(number) if happens == "failed" else [])
        tcp.closed(number)
        del self.peers[number]

    @precondition(lambda self: self.tcp)
    @rule(data=st.data(), peer=peers)
    def a_peer_connects(self, data: st.DataObject, peer: Address) -> None:
        session = data.draw(st.sampled_from(sorted(self.tcp)))
        self.follow(self.server.tcp.accepted(session, peer, self.world.now))

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), owner=clients, port=st.integers(1, 3))
    def bind_connection(self, data: st.DataObject, owner: int, port: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.peers)))
        other = Client(
            self.world, ("198.51.100.7", port), self.clients[owner].credential, listener=STREAM
        )
        challenge = self.server.authenticator.challenge(other.address, self.world.now)
        other.nonce = challenge[1][1]
        body = [attribute(Attribute.CONNECTION_ID, number.to_bytes(4, "big"))]
        request = other.build(TcpMethod.CONNECTION_BIND, body)
        self.follow(self.server.receive(request, other.five_tuple, self.world.now))

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), number=clients, seconds=st.sampled_from([0, 600]))
    def move(self, data: st.DataObject, number: int, seconds: int) -> None:
        ticket = data.draw(st.sampled_from(self.tickets[-3:]))
        body = [lifetime(seconds), attribute(Attribute.MOBILITY_TICKET, ticket)]
        self.deliver(number, self.with_nonce(number).build(Method.REFRESH, body))

    @rule(session=st.integers(0, 8), number=clients)
    def channel_data_arrives(self, session: int, number: int) -> None:
        five_tuple = FiveTuple(0, self.clients[number].address)
        self.follow(self.server.client_arrived(session, five_tuple))

    @precondition(lambda self: self.tokens)
    @rule(number=clients, copies=st.integers(1, 3))
    def claim(self, number: int, copies: int) -> None:
        token = attribute(Attribute.RESERVATION_TOKEN, self.tokens[-1])
        self.send(number, self.with_nonce(number).build(Method.ALLOCATE, [UDP, token]), copies)

    @rule(
        number=clients,
        seconds=st.sampled_from([0, 0, 600, 3600]),
        family=families,
        copies=st.integers(0, 3),
    )
    def refresh(
        self, number: int, seconds: int, family: list[tuple[int, bytes]], copies: int
    ) -> None:
        body = [lifetime(seconds), *family]
        self.send(number, self.with_nonce(number).build(Method.REFRESH, body), copies)

    @precondition(lambda self: self.delayed)
    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        number, late = self.delayed.pop(data.draw(st.integers(0, len(self.delayed) - 1)))
        self.deliver(number, late)
        self.open_sockets()

    @rule(number=clients, peer=peers)
    def permit(self, number: int, peer: Address) -> None:
        client = self.with_nonce(number)
        client.permit(peer)
        self.follow(client.events)

    @rule(number=clients, channel=st.integers(0x4000, 0x4002), peer=peers)
    def bind(self, number: int, channel: int, peer: Address) -> None:
        client = self.with_nonce(number)
        client.bind(channel, peer)
        self.follow(client.events)

    @rule(number=clients, peer=peers)
    def send_data(self, number: int, peer: Address) -> None:
        self.follow(self.clients[number].send_indication(peer, b"data"))

    @rule(session=st.integers(0, 8), peer=peers)
    def refuse_at_a_peer(self, session: int, peer: Address) -> None:
        error = IcmpError(peer, 3, 3, 0)
        events = self.server.icmp_received(session, error, self.world.now)
        assert not events or peer[0] in self.permitted[session]

    @rule(seconds=st.sampled_from([0.5, 29, 59, 299, 301, 601, 3601]))
    def pass_time(self, seconds: float) -> None:
        self.follow(self.world.sleep(seconds))

    @rule(seconds=st.sampled_from([-86_400, -60, 60, 86_400]))
    def jump_the_clock(self, seconds: float) -> None:
        now = self.world.now
        self.world.now = now._replace(unix=now.unix + seconds)

    @rule(allowed=st.sets(hosts))
    def push(self, allowed: set[str]) -> None:
        self.pushed = allowed
        self.follow(self.server.replace_peers([PeerEntry(ip_address(host)) for host in allowed]))

    @rule()
    def rotate_the_secret(self) -> None:
        self.server.authenticator.replace_secrets((SECRET, b"x" * 32))

    @rule(known=st.booleans())
    def drain_and_open(self, known: bool) -> None:
        self.server.replace_alternatives([("192.0.2.9", 3478)] if known else [])
        if self.server.gate.is_open:
            self.server.gate.drain("d")
        else:
            self.server.gate.undrain("d")

    @rule(busy=st.sets(st.integers(*PORTS)))
    def others_hold_ports(self, busy: set[int]) -> None:
        self.world.refused_ports = busy

    @rule()
    def end_all(self) -> None:
        self.follow(self.server.end_all(SessionEnd.POD_TERMINATED, self.world.now))
        assert not self.live

    @invariant()
    def quotas_balance(self) -> None:
        allocator = self.server._allocator
        reserved = len(allocator.reservations)
        assert self.server.allocations == len(self.live)
        assert self.server.quota.total == len(self.live) + reserved <= CAPACITY
        free = PORTS[1] - PORTS[0] + 1 - len(self.live) - reserved
        assert len(allocator.ports) == free

    @invariant()
    def connections_are_counted(self) -> None:
        connections = self.server.tcp.connections
        assert set(connections._by_number) == set(self.peers)
        assert len(self.peers) <= MAX_PEER_CONNECTIONS
        assert {session for session, _ in self.peers.values()} <= self.tcp
        assert {peer[0] for _, peer in self.peers.values()} <= self.pushed

    @invariant()
    def a_five_tuple_leads_to_one_allocation(self) -> None:
        known = self.server._table._by_five_tuple
        addresses = {five_tuple.client: each.session for five_tuple, each in known.items()}
        coming = {address: session for session, address in self.moving.items()}
        assert addresses == self.session_of | coming

    @invariant()
    def only_what_is_pushed_is_permitted(self) -> None:
        for session, (_, present) in self.live.items():
            assert self.permitted[session] <= self.pushed
            assert {peer[0] for peer in self.channels[session].values()} <= self.permitted[session]
            assert {family_of(host) for host in self.permitted[session]} <= present

    @invariant()
    def nothing_outlives_its_lifetime(self) -> None:
        for session in self.live:
            assert self.world.now.monotonic < self.expires[session]

    def teardown(self) -> None:
        self.delayed.clear()
        for _ in range(2):
            self.follow(self.world.sleep(4000))
        assert self.server.allocations == self.server.quota.total == 0
        assert not (self.live or self.peers or self.moving)
        assert not self.server.tcp.connections._sessions
        assert self.server.next_timer() is None
        assert len(self.server._allocator.ports) == PORTS[1] - PORTS[0] + 1
        assert not self.server.quota._users


TestTurnMachine = TurnMachine.TestCase
TestTurnMachine.settings = settings(
    max_examples=EXAMPLES // 5, stateful_step_count=40, deadline=None
)

"""Any order of what clients, peers, the network, time and the operator do.

Requests are dropped, repeated and delayed; sockets open late or not at all; both clocks jump. The
rules hold at every moment, and in the end all is given back.
"""

from __future__ import annotations

from ipaddress import ip_address

from aioice.stun import Method
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from callfleet_relay.allocation import family_of
from callfleet_relay.events import (
    FiveTuple,
    SessionEnd,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    IcmpError,
    TcpMethod,
    pack_address,
)
from callfleet_relay.peers import PeerEntry

from .following import CAPACITY, HOSTS, MAX_PEER_CONNECTIONS, PORTS, TICKET, FollowingMachine
from .fuzzing import EXAMPLES
from .support import (
    SECRET,
    STREAM,
    TCP,
    UDP,
    Client,
    attribute,
    lifetime,
)

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


class TurnMachine(FollowingMachine):
    """What may happen, and what holds whatever does."""

    @initialize()
    def open_peers(self) -> None:
        self.push(set(HOSTS))

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
        assert (self.live, self.peers, self.moving) == ({}, {}, {})
        assert not self.server.tcp.connections._sessions
        assert self.server.next_timer() is None
        assert len(self.server._allocator.ports) == PORTS[1] - PORTS[0] + 1
        assert not self.server.quota._users


TestTurnMachine = TurnMachine.TestCase
TestTurnMachine.settings = settings(
    max_examples=EXAMPLES // 5, stateful_step_count=40, deadline=None
)

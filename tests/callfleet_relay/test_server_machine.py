"""Any order of what clients do, time and the operator: the rules hold and all is given back."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from callfleet_relay.events import (
    BindChannel,
    Event,
    Forbid,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    SessionEnded,
    UnbindChannel,
)
from callfleet_relay.message import Address
from callfleet_relay.peers import PeerEntry

from .support import UDP, UNIX, Client, World, lifetime, make_world, plain_credential

CAPACITY, PER_USER, PORTS = 4, 2, (50000, 50005)
HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")

clients = st.integers(0, 5)
hosts = st.sampled_from(HOSTS)
peers = st.tuples(hosts, st.integers(5000, 5001))


class TurnMachine(RuleBasedStateMachine):
    """Follows the events as a data plane does and compares with its own book-keeping."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = make_world(
            allowed=(), ports=PORTS, capacity=CAPACITY, per_user=PER_USER, grace=10
        )
        self.clients = [
            Client(
                self.world,
                ("198.51.100.7", 40000 + number),
                plain_credential(f"user{number % 3}", expires=UNIX + 900 + number),
            )
            for number in range(6)
        ]
        self.opened: dict[int, int] = {}
        self.permitted: dict[int, set[str]] = {}
        self.channels: dict[int, dict[int, Address]] = {}
        self.pushed: set[str] = set()

    @initialize()
    def open_peers(self) -> None:
        self.push(set(HOSTS))

    def follow(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case OpenRelay(session, _, port):
                    self.opened[session] = port
                    self.permitted[session], self.channels[session] = set(), {}
                case Permit(session, host, _):
                    self.permitted[session].add(host)
                case Forbid(session, host):
                    self.permitted[session].discard(host)
                case BindChannel(session, number, peer):
                    assert peer[0] in self.permitted[session]
                    self.channels[session][number] = peer
                case UnbindChannel(session, number, _):
                    self.channels[session].pop(number, None)
                case SendToPeer(session, peer, _, _):
                    assert peer[0] in self.permitted[session]
                    assert peer[0] in self.pushed
                case SessionEnded(session, _, _, _, port, _):
                    assert self.opened.pop(session) == port
                    del self.permitted[session], self.channels[session]
                case Reply(_, data):
                    assert len(data) < 500

    def send(self, number: int, data: bytes, copies: int = 1) -> None:
        for _ in range(copies):
            self.clients[number].send(data)
            self.follow(self.clients[number].events)

    def with_nonce(self, number: int) -> Client:
        client = self.clients[number]
        challenge = self.world.server.authenticator.challenge(client.address, self.world.now)
        client.nonce = challenge[1][1]
        return client

    @rule(number=clients, seconds=st.integers(0, 4000), copies=st.integers(1, 2))
    def allocate(self, number: int, seconds: int, copies: int) -> None:
        client = self.with_nonce(number)
        self.send(number, client.build(3, [UDP, lifetime(seconds)]), copies)  # type: ignore[arg-type] # Allocate

    @rule(number=clients, seconds=st.sampled_from([0, 0, 600, 3600]), copies=st.integers(1, 2))
    def refresh(self, number: int, seconds: int, copies: int) -> None:
        client = self.with_nonce(number)
        self.send(number, client.build(4, [lifetime(seconds)]), copies)  # type: ignore[arg-type] # Refresh

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

    @rule(seconds=st.sampled_from([0.5, 59, 299, 301, 601, 3601]))
    def pass_time(self, seconds: float) -> None:
        self.follow(self.world.sleep(seconds))

    @rule(seconds=st.sampled_from([-86_400, -60, 60, 86_400]))
    def jump_the_clock(self, seconds: float) -> None:
        now = self.world.now
        self.world.now = now._replace(unix=now.unix + seconds)

    @rule(allowed=st.sets(hosts))
    def push(self, allowed: set[str]) -> None:
        self.pushed = allowed
        self.follow(
            self.world.server.replace_peers([PeerEntry(ip_address(host)) for host in allowed])
        )

    @rule()
    def drain_and_open(self) -> None:
        gate = self.world.server.gate
        if gate.is_open:
            gate.drain("d")
        else:
            gate.undrain("d")

    @rule(busy=st.sets(st.integers(*PORTS)))
    def others_hold_ports(self, busy: set[int]) -> None:
        self.world.refused_ports = busy

    @invariant()
    def limits_hold(self) -> None:
        self.opened = {s: p for s, p in self.opened.items() if s in self.live_sessions()}
        assert self.world.server.allocations == len(self.opened) <= CAPACITY
        assert len(set(self.opened.values())) == len(self.opened)

    @invariant()
    def only_what_is_pushed_is_permitted(self) -> None:
        for session in self.opened:
            assert self.permitted[session] <= self.pushed
            assert {peer[0] for peer in self.channels[session].values()} <= self.permitted[session]

    def live_sessions(self) -> set[int]:
        """Sessions of refused ports were opened in vain; the server knows them no more."""
        return {allocation.session for allocation in self.world.server._table}

    def teardown(self) -> None:
        self.world.now = self.world.now._replace(unix=UNIX)
        for _ in range(3):
            self.follow(self.world.sleep(4000))
        assert self.world.server.allocations == 0
        assert self.world.server.next_timer() is None
        assert len(self.world.server._ports) == PORTS[1] - PORTS[0] + 1


TestTurnMachine = TurnMachine.TestCase
TestTurnMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

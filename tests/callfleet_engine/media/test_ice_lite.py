"""Rules of the shared port, with checks made by hand and with aioice's full agent as client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from aioice import ConnectionClosed, stun
from aioice.ice import Connection

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.ice_lite import (
    CONSENT_SWEEPS,
    MAX_ADDRESSES,
    MAX_QUEUED_DTLS,
    SILENT_SWEEPS,
    SILENT_SWEEPS_WITH_MEDIA,
    LiteConnection,
)
from callfleet_engine.media.native.port import NativePort
from callfleet_engine.media.port import CONSENT_SECONDS, SOCKETS, MediaPort
from callfleet_engine.media.stun_check import Address
from tests.callfleet_engine.media.peers import until
from tests.callfleet_engine.media.translator import Translator

ALICE, ELSEWHERE, MALLORY = ("192.0.2.1", 1001), ("192.0.2.2", 1002), ("198.51.100.9", 9)
MEDIA, DTLS = b"\x80 media", b"\x16 dtls"


class Wire:
    """Stands where the socket is: keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []

    def sendto(self, data: bytes, address: Address) -> None:
        self.sent.append((data, address))

    def last(self) -> stun.Message:
        return stun.parse_message(self.sent[-1][0])


class Client:
    """The client's knowledge of one connection: its credentials."""

    def __init__(self, port: MediaPort, connection: LiteConnection, wire: Wire) -> None:
        self.port, self.connection, self.wire = port, connection, wire
        self.username = connection.local_username
        self.password = connection.local_password

    def check(self, source: Address, *, use: bool = False, **changes: str) -> bytes:
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes = {
            "USERNAME": f"{changes.get('username', self.username)}:client",
            changes.get("role", "ICE-CONTROLLING"): 1,
        }
        if use:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(changes.get("password", self.password).encode())
        data = bytes(message)
        self.resend(data, source)
        return data

    def resend(self, data: bytes, source: Address) -> None:
        if isinstance(self.port, NativePort):
            self.port.plane.receive(0, source, data, float(self.port.sweeps))
            self.port._take()
            self._collect()
        else:
            self.port.stun_received(data, source, self.wire)  # type: ignore[arg-type] # all it uses

    def _collect(self) -> None:
        if isinstance(self.port, NativePort):
            sent = self.port.plane.take_datagrams()
            self.wire.sent += [(data, address) for _, address, data in sent]

    def media(self, source: Address, data: bytes = MEDIA) -> bool:
        """Whether the port knows whom a datagram from there is for."""
        owner = self.port.by_address.get(source)
        if owner is not None:
            owner.datagram_received(data, source)
        return owner is self.connection

    @property
    def goes_to(self) -> Address | None:
        """Where media is sent to."""
        if not self.connection.send_now(b"out"):
            return None
        self._collect()
        return self.wire.sent[-1][1]


@pytest.fixture(params=["python", "native"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[MediaPort]:
    """Without sockets. The native one answers checks of connected clients by itself."""
    advertised = (Advertised("192.0.2.100", "test"),)
    if request.param == "native":
        native = NativePort(lambda: advertised, consent_seconds=CONSENT_SECONDS)
        native.open([])
        port: MediaPort = native
    else:
        port = MediaPort(lambda: advertised)
    yield port
    await port.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


def new_client(port: MediaPort, wire: Wire) -> Client:
    connection = LiteConnection(port)
    connection.media_received = lambda data: data == MEDIA
    if isinstance(port, NativePort):
        port.number_of(connection, publishes=True)
    return Client(port, connection, wire)


@pytest.fixture
def alice(port: MediaPort, wire: Wire) -> Iterator[Client]:
    client = new_client(port, wire)
    yield client
    client.connection.end()
    assert not port.by_address
    assert port.connections == 0


def pass_sweeps(port: MediaPort, count: int) -> None:
    for _ in range(count):
        port.sweep()


async def test_a_nominated_address_is_selected(alice: Client) -> None:
    alice.check(ALICE)
    assert alice.wire.last().message_class == stun.Class.RESPONSE
    assert alice.wire.last().attributes["XOR-MAPPED-ADDRESS"] == ALICE
    assert alice.goes_to is None
    alice.check(ALICE, use=True)
    assert alice.goes_to == ALICE
    assert alice.connection.remote_address == ALICE
    await asyncio.wait_for(alice.connection.connect(), 1)


async def test_only_an_authenticated_check_makes_an_address_known(
    alice: Client, port: MediaPort, wire: Wire
) -> None:
    assert not alice.media(MALLORY)
    alice.check(MALLORY, use=True, password="x" * 24)
    alice.check(MALLORY, use=True, username="nobody00")
    alice.resend(b"\x00\x01 no stun", MALLORY)
    assert not alice.media(MALLORY)
    assert alice.goes_to is None
    assert not wire.sent
    dropped = port.dropped()
    assert dropped["unauthenticated"] == dropped["unknown_ufrag"] == dropped["malformed"] == 1


async def test_a_keepalive_is_neither_answered_nor_an_error(alice: Client, wire: Wire) -> None:
    before = alice.port.dropped()
    alice.resend(bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)), ALICE)
    assert alice.port.dropped() == before
    assert not wire.sent


async def test_a_client_that_takes_itself_for_controlled_is_told(alice: Client) -> None:
    alice.check(ALICE, use=True, role="ICE-CONTROLLED")
    assert alice.wire.last().error_code == 487
    assert alice.goes_to is None
    assert not alice.media(ALICE)


async def test_a_recorded_check_from_elsewhere_moves_nothing(alice: Client) -> None:
    check = alice.check(ALICE, use=True)
    alice.resend(check, ALICE)  # a retransmission
    assert alice.port.dropped()["replayed"] == 0
    alice.resend(check, MALLORY)
    assert alice.port.dropped()["replayed"] == 1
    assert not alice.media(MALLORY)
    assert alice.goes_to == ALICE


async def test_a_recorded_check_that_was_forgotten_moves_nothing_while_the_client_lives(
    alice: Client,
) -> None:
    check = alice.check(ALICE, use=True)
    for _ in range(100):
        alice.check(ELSEWHERE)
    alice.resend(check, MALLORY)
    alice.media(MALLORY, b"\x80 forged")
    assert alice.goes_to == ALICE
    assert alice.port.dropped()["srtp"] == 1


async def test_an_address_that_is_anothers_is_not_taken_over(
    alice: Client, port: MediaPort, wire: Wire
) -> None:
    alice.check(ALICE, use=True)
    mallory = new_client(port, wire)
    answered = len(wire.sent)
    mallory.check(ALICE, use=True)
    assert port.dropped()["address_in_use"] == 1
    assert len(wire.sent) == answered
    assert alice.media(ALICE)
    assert mallory.goes_to is None
    mallory.connection.end()
    assert alice.media(ALICE)


async def test_an_address_is_free_once_its_owner_is_silent_or_gone(
    alice: Client, port: MediaPort, wire: Wire
) -> None:
    alice.check(ALICE, use=True)
    alice.check(ELSEWHERE)
    bob = new_client(port, wire)
    port.sweeps += CONSENT_SWEEPS
    bob.check(ALICE, use=True)
    assert bob.goes_to == ALICE
    assert bob.media(ALICE)
    assert alice.goes_to is None
    alice.check(ELSEWHERE, use=True)
    assert alice.goes_to == ELSEWHERE
    bob.connection.end()
    alice.check(ALICE)
    assert alice.media(ALICE)


async def test_the_client_moves_by_nomination_and_media(alice: Client) -> None:
    moved = []
    alice.connection.moved = lambda: moved.append(alice.connection.remote_address)
    alice.check(ALICE, use=True)
    alice.check(ELSEWHERE)
    alice.media(ELSEWHERE)
    assert alice.goes_to == ALICE
    alice.check(ELSEWHERE, use=True)
    assert alice.goes_to == ALICE
    alice.media(ELSEWHERE)
    assert alice.goes_to == ELSEWHERE
    assert moved == [ELSEWHERE]


async def test_the_client_moves_when_its_address_is_translated_anew(
    alice: Client, port: MediaPort
) -> None:
    """No nomination: the client does not know of it."""
    alice.check(ALICE, use=True)
    pass_sweeps(port, SILENT_SWEEPS_WITH_MEDIA)
    alice.check(ELSEWHERE)
    assert alice.goes_to == ALICE
    alice.media(ELSEWHERE)
    assert alice.goes_to == ELSEWHERE


async def test_a_client_without_media_moves_after_a_silence(alice: Client, port: MediaPort) -> None:
    alice.check(ALICE, use=True)
    pass_sweeps(port, SILENT_SWEEPS - 1)
    alice.check(ELSEWHERE)
    assert alice.goes_to == ALICE
    pass_sweeps(port, 1)
    alice.check(ELSEWHERE)
    assert alice.goes_to == ELSEWHERE


async def test_silence_of_all_addresses_ends_it(alice: Client, port: MediaPort) -> None:
    alice.check(ALICE, use=True)
    pass_sweeps(port, CONSENT_SWEEPS - 1)
    alice.check(ALICE)
    pass_sweeps(port, CONSENT_SWEEPS - 1)
    alice.media(ALICE)
    pass_sweeps(port, CONSENT_SWEEPS - 1)
    alice.media(ALICE, b"\x80 forged")
    assert not alice.connection.ended
    waiting = asyncio.create_task(alice.connection.get_event())
    pass_sweeps(port, 1)
    assert alice.connection.ended
    assert isinstance(await asyncio.wait_for(waiting, 1), ConnectionClosed)
    with pytest.raises(ConnectionError):
        await alice.connection.recv()
    with pytest.raises(ConnectionError):
        await alice.connection.send(b"")
    alice.check(ALICE)
    assert port.dropped()["unknown_ufrag"] == 1


async def test_who_never_connected_is_left_to_the_attempts_limit(
    alice: Client, port: MediaPort
) -> None:
    pass_sweeps(port, CONSENT_SWEEPS * 2)
    assert not alice.connection.ended
    alice.connection.end()
    with pytest.raises(ConnectionError, match="before the client nominated"):
        await alice.connection.connect()


async def test_addresses_of_a_connection_are_bounded_and_forgotten(
    alice: Client, port: MediaPort
) -> None:
    alice.check(ALICE, use=True)
    for number in range(MAX_ADDRESSES * 3):
        pass_sweeps(port, 1)
        alice.check(ALICE)
        alice.check(("192.0.2.7", 2000 + number))
    assert len(port.by_address) == MAX_ADDRESSES
    assert alice.media(ALICE)
    assert not alice.media(("192.0.2.7", 2000))
    for _ in range(CONSENT_SWEEPS):
        alice.check(ALICE)
        pass_sweeps(port, 1)
    assert list(port.by_address) == [ALICE]


async def test_the_queue_of_dtls_is_bounded(alice: Client) -> None:
    alice.check(ALICE, use=True)
    for _ in range(1000):
        alice.media(ALICE, DTLS)
        alice.media(ALICE, b"\x50 channel data")
    assert alice.connection._queue.qsize() == MAX_QUEUED_DTLS
    assert await alice.connection.recv() == DTLS


async def test_a_restart_keeps_the_old_path_until_the_new_one_is_nominated(alice: Client) -> None:
    alice.check(ALICE, use=True)
    old = (alice.username, alice.password)
    alice.connection.restart()
    fresh = Client(alice.port, alice.connection, alice.wire)
    assert fresh.username != alice.username
    assert alice.goes_to == ALICE
    alice.check(ALICE)
    assert alice.wire.last().check_message_integrity(old[1].encode())
    fresh.check(ELSEWHERE)
    assert alice.goes_to == ALICE
    fresh.check(ELSEWHERE, use=True)
    assert fresh.goes_to == ELSEWHERE
    before = alice.port.dropped()["unknown_ufrag"]
    alice.check(ALICE, use=True)
    assert alice.port.dropped()["unknown_ufrag"] == before + 1


async def test_a_restart_that_was_never_used_is_given_up(alice: Client, port: MediaPort) -> None:
    alice.check(ALICE, use=True)
    for _ in range(50):
        alice.connection.restart()
    assert len(port._by_ufrag) == 2
    alice.check(ALICE)
    assert alice.wire.last().message_class == stun.Class.RESPONSE
    alice.connection.end()
    alice.connection.restart()
    assert len(port._by_ufrag) == 0


# aioice's full agent, over a socket


class FullAgent:
    """A client of the port, with the port's own socket beneath."""

    def __init__(self, connection: LiteConnection) -> None:
        self.lite = connection
        self.ice = Connection(ice_controlling=True)

    async def connect(self, through: tuple[str, int] | None = None) -> None:
        await self.ice.gather_candidates()
        await self.lite.gather_candidates()
        self.ice.remote_is_lite = True
        self.ice.remote_username = self.lite.local_username
        self.ice.remote_password = self.lite.local_password
        for candidate in self.lite.local_candidates:
            if through is not None:
                candidate.host, candidate.port = through
            await self.ice.add_remote_candidate(candidate)
        await self.ice.add_remote_candidate(None)
        async with asyncio.timeout(10):
            await asyncio.gather(self.ice.connect(), self.lite.connect())


@pytest.fixture
async def bound() -> AsyncIterator[MediaPort]:
    port = MediaPort(lambda: (Advertised("127.0.0.1", "test"),))
    port.bind(("127.0.0.1",), 0)
    yield port
    await port.close()


async def test_a_full_agent_connects_restarts_and_talks(bound: MediaPort) -> None:
    lite = LiteConnection(bound)
    first = FullAgent(lite)
    await first.connect()
    await first.ice.send(DTLS)
    assert await lite.recv() == DTLS
    await lite.send(b"back")
    assert await first.ice.recv() == b"back"

    lite.restart()
    second = FullAgent(lite)
    await second.connect()
    await lite.send(b"on the new path")
    assert await second.ice.recv() == b"on the new path"
    await asyncio.gather(first.ice.close(), second.ice.close())


async def test_many_agents_share_the_port(bound: MediaPort) -> None:
    agents = [FullAgent(LiteConnection(bound)) for _ in range(20)]
    await asyncio.gather(*(agent.connect() for agent in agents))
    for number, agent in enumerate(agents):
        await agent.ice.send(b"\x16%d" % number)
    for number, agent in enumerate(agents):
        assert await agent.lite.recv() == b"\x16%d" % number
    assert len({agent.ice._nominated[1].remote_addr for agent in agents}) == 1
    await asyncio.gather(*(agent.ice.close() for agent in agents))


async def test_a_full_agent_behind_a_new_address_goes_on(bound: MediaPort) -> None:
    lite = LiteConnection(bound)
    lite.media_received = lambda _: True
    translator = Translator(("127.0.0.1", bound.number))
    agent = FullAgent(lite)
    await agent.connect(translator.address)
    assert lite.remote_address in translator.outside
    translator.rebind()
    pass_sweeps(bound, SILENT_SWEEPS_WITH_MEDIA)
    pair = agent.ice._nominated[1]
    consent = agent.ice.build_request(pair, nominate=False)
    consent.add_message_integrity(lite.local_password.encode())
    pair.protocol.send_stun(consent, translator.address)
    await agent.ice.send(MEDIA)
    await until(lambda: lite.remote_address in translator.outside, "moved")
    await lite.send(b"found")
    assert await agent.ice.recv() == b"found"
    await agent.ice.close()
    translator.close()


async def test_ipv6_has_the_same_number_and_is_served() -> None:
    port = MediaPort(lambda: (Advertised("127.0.0.1", "a"), Advertised("::1", "b")))
    port.bind(("127.0.0.1", "::1"), 0)
    candidates = port.candidates()
    assert [(c.host, c.port) for c in candidates] == [
        ("::1", port.number),
        ("127.0.0.1", port.number),
    ]
    assert candidates[0].priority > candidates[1].priority
    lite = LiteConnection(port)
    wire = Wire()
    check = Client(port, lite, wire).check(("::1", 1), use=True)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("::1", 0))
        own = sock.getsockname()
        lite._transactions.clear()
        sock.sendto(check, ("::1", port.number))
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 2048), 5)
    assert stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"] == own[:2]
    await port.close()


async def test_a_taken_port_is_refused_and_nothing_stays_bound() -> None:
    first, second = (MediaPort(lambda: ()) for _ in range(2))
    first.bind(("127.0.0.1",), 0)
    with pytest.raises(OSError, match="in use"):
        second.bind(("::1", "127.0.0.1"), first.number)
    assert second.number == 0
    await asyncio.gather(first.close(), second.close())


async def test_a_burst_of_many_clients_is_spread_over_sockets(bound: MediaPort) -> None:
    """One socket's buffer would lose it: the kernel bounds each, whatever is asked for."""
    sides = {side.transport.get_extra_info("sockname") for side in bound._sides}
    assert sides == {("127.0.0.1", bound.number)}
    assert len(bound._sides) == SOCKETS
    agents = [FullAgent(LiteConnection(bound)) for _ in range(24)]
    await asyncio.gather(*(agent.connect() for agent in agents))
    used = {id(side) for agent in agents for side in agent.lite._sides.values()}
    assert len(used) > 1
    await asyncio.gather(*(agent.ice.close() for agent in agents))

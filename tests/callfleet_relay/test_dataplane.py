from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from aioice import stun

from callfleet_relay.allocation import family_of
from callfleet_relay.events import (
    BindChannel,
    Drop,
    FiveTuple,
    Forbid,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import Address, IcmpError
from callfleet_relay.transport.dataplane import DataPlane
from tests.ports import free_port

from .planes import PLANES, OpenPlane

TIMEOUT = 5.0
CHANNEL = 0x4000


def opening(session: int, five_tuple: FiveTuple, port: int, user: str = "") -> OpenRelay:
    """Of the client's own family."""
    return OpenRelay(session, five_tuple, port, (family_of(five_tuple.client[0]),), user)


@dataclass
class Rig:
    """A plane with one session between two real sockets."""

    plane: DataPlane
    host: str
    client: socket.socket
    peer: socket.socket
    relay_port: int
    received: asyncio.Queue[tuple[bytes, FiveTuple]] = field(default_factory=asyncio.Queue)
    errors: asyncio.Queue[tuple[int, IcmpError]] = field(default_factory=asyncio.Queue)

    @property
    def peer_address(self) -> Address:
        host, port = self.peer.getsockname()[:2]
        return host, port

    @property
    def five_tuple(self) -> FiveTuple:
        host, port = self.client.getsockname()[:2]
        return FiveTuple(0, (host, port))

    def permit_and_bind(self) -> None:
        self.plane.permit(Permit(1, self.host, None))
        self.plane.bind_channel(BindChannel(1, CHANNEL, self.peer_address))

    def from_client(self, data: bytes) -> None:
        self.client.sendto(data, self.plane.listening[0])

    def from_peer(self, data: bytes) -> None:
        self.peer.sendto(data, (self.host, self.relay_port))

    def channel_data(self, payload: bytes, number: int = CHANNEL) -> bytes:
        return number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload

    async def at_client(self) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.client, 65536), TIMEOUT)

    async def at_peer(self) -> tuple[bytes, int]:
        """What the peer gets, and from which port."""
        loop = asyncio.get_running_loop()
        data, source = await asyncio.wait_for(loop.sock_recvfrom(self.peer, 65536), TIMEOUT)
        return data, source[1]

    async def dropped(self, cause: Drop, count: int = 1) -> None:
        """Wait until so many were dropped."""
        async with asyncio.timeout(TIMEOUT):
            while self.plane.figures().drops[cause] < count:  # noqa: ASYNC110 - the plane has no event
                await asyncio.sleep(0.005)


def udp(host: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind((host, 0))
        yield bound


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=PLANES)
def open_plane(request: pytest.FixtureRequest) -> OpenPlane:
    return PLANES[request.param]


@pytest.fixture
def client(host: str) -> Iterator[socket.socket]:
    yield from udp(host)


@pytest.fixture
def peer(host: str) -> Iterator[socket.socket]:
    yield from udp(host)


@pytest.fixture
def bits_per_second() -> int:
    return 0


@pytest.fixture
async def rig(
    open_plane: OpenPlane,
    host: str,
    client: socket.socket,
    peer: socket.socket,
    bits_per_second: int,
) -> AsyncIterator[Rig]:
    received: asyncio.Queue[tuple[bytes, FiveTuple]] = asyncio.Queue()
    errors: asyncio.Queue[tuple[int, IcmpError]] = asyncio.Queue()
    plane = open_plane(
        [(host, 0)],
        relay_hosts=[host],
        per_allocation=bits_per_second,
        receiver=lambda data, five_tuple: received.put_nowait((data, five_tuple)),
        icmp_receiver=lambda session, error: errors.put_nowait((session, error)),
    )
    made = Rig(plane, host, client, peer, free_port(host), received, errors)
    assert plane.open_relay(opening(1, made.five_tuple, made.relay_port))
    yield made
    plane.close()


async def test_channel_data_goes_to_the_peer_from_the_relayed_address(rig: Rig) -> None:
    rig.permit_and_bind()

    rig.from_client(rig.channel_data(b"hello"))
    assert await rig.at_peer() == (b"hello", rig.relay_port)
    rig.from_client(rig.channel_data(b"hello") + b"\0\0\0")
    assert await rig.at_peer() == (b"hello", rig.relay_port)
    rig.from_client(rig.channel_data(b""))
    assert await rig.at_peer() == (b"", rig.relay_port)


async def test_a_bound_peers_datagram_becomes_channel_data(rig: Rig) -> None:
    rig.permit_and_bind()

    rig.from_peer(b"world")

    assert await rig.at_client() == rig.channel_data(b"world")


async def test_a_permitted_peers_datagram_becomes_a_data_indication(rig: Rig) -> None:
    rig.plane.permit(Permit(1, rig.host, frozenset({rig.peer_address[1]})))

    rig.from_peer(b"world")

    message = stun.parse_message(await rig.at_client())
    assert message.attributes["DATA"] == b"world"
    assert message.attributes["XOR-PEER-ADDRESS"] == rig.peer_address


async def test_without_permission_nothing_comes_in(rig: Rig) -> None:
    rig.from_peer(b"1")
    await rig.dropped(Drop.NO_PERMISSION, 1)
    rig.plane.permit(Permit(1, rig.host, frozenset({1})))
    rig.from_peer(b"2")
    await rig.dropped(Drop.NO_PERMISSION, 2)
    rig.permit_and_bind()
    rig.plane.unbind_channel(UnbindChannel(1, CHANNEL, rig.peer_address))
    rig.plane.forbid(Forbid(1, rig.host))
    rig.from_peer(b"3")
    await rig.dropped(Drop.NO_PERMISSION, 3)


async def test_without_channel_nothing_goes_out(rig: Rig, host: str) -> None:
    rig.permit_and_bind()
    rig.from_client(rig.channel_data(b"x", CHANNEL + 1))
    await rig.dropped(Drop.NO_CHANNEL, 1)
    for stranger in udp(host):
        stranger.sendto(rig.channel_data(b"x"), rig.plane.listening[0])
        await rig.dropped(Drop.NO_CHANNEL, 2)


@pytest.mark.parametrize("data", [b"", b"\x40", b"\x40\0\0", b"\x40\x00\x00\x05abcd"])
async def test_channel_data_that_overruns_goes_nowhere(rig: Rig, data: bytes) -> None:
    rig.permit_and_bind()

    rig.from_client(data)

    await rig.dropped(Drop.MALFORMED)


async def test_everything_else_is_handed_over(rig: Rig) -> None:
    rig.from_client(b"\0\1something")

    handed = await asyncio.wait_for(rig.received.get(), TIMEOUT)

    assert handed == (b"\0\1something", rig.five_tuple)


async def test_replies_and_send_indications_go_out(rig: Rig) -> None:
    rig.plane.reply(Reply(rig.five_tuple, b"reply"))
    assert await rig.at_client() == b"reply"
    for dont_fragment in (False, True):
        rig.plane.send_to_peer(SendToPeer(1, rig.peer_address, b"data", dont_fragment))
        assert await rig.at_peer() == (b"data", rig.relay_port)


async def test_a_port_nobody_listens_on_is_told_and_loses_nothing_else(rig: Rig) -> None:
    rig.permit_and_bind()
    closed = (rig.host, free_port(rig.host))
    port_unreachable = (1, 4) if ":" in rig.host else (3, 3)
    for round_number in range(3):
        rig.plane.send_to_peer(SendToPeer(1, closed, b"lost", dont_fragment=False))
        # The error of the first is in the way of this one, or comes by itself.
        rig.from_client(rig.channel_data(b"arrives"))

        assert await rig.at_peer() == (b"arrives", rig.relay_port)
        session, error = await asyncio.wait_for(rig.errors.get(), TIMEOUT)
        assert (session, error.peer, error.kind, error.code) == (1, closed, *port_unreachable)
        rig.from_peer(b"%d" % round_number)
        assert await rig.at_client() == rig.channel_data(b"%d" % round_number)
    assert rig.plane.figures().drops[Drop.KERNEL] == 0


async def test_what_udp_cannot_carry_is_counted(rig: Rig) -> None:
    rig.plane.send_to_peer(SendToPeer(1, rig.peer_address, bytes(65535), dont_fragment=False))

    assert rig.plane.figures().drops[Drop.TOO_LONG] == 1


async def test_what_the_kernel_drops_is_counted(rig: Rig) -> None:
    rig.permit_and_bind()
    for _ in range(20_000):
        rig.from_peer(bytes(1200))

    await rig.dropped(Drop.KERNEL)


async def test_counts_payload_of_both_directions(rig: Rig) -> None:
    rig.permit_and_bind()
    rig.from_client(rig.channel_data(b"12345"))
    await rig.at_peer()
    rig.from_peer(b"123")
    await rig.at_client()

    during = rig.plane.figures().traffic
    closed = rig.plane.close_session(1)

    assert (during.packets_from_client, during.bytes_from_client) == (1, 5)
    assert (during.packets_to_client, during.bytes_to_client) == (1, 3)
    assert closed == during == rig.plane.figures().traffic


async def test_a_closed_session_frees_its_port_and_relays_no_more(rig: Rig) -> None:
    rig.permit_and_bind()
    rig.plane.close_session(1)

    rig.from_client(rig.channel_data(b"x"))
    await rig.dropped(Drop.NO_CHANNEL)
    assert rig.plane.open_relay(opening(2, rig.five_tuple, rig.relay_port))


async def test_a_port_that_is_taken_is_refused(rig: Rig) -> None:
    assert not rig.plane.open_relay(opening(2, rig.five_tuple, rig.relay_port))


async def test_sessions_of_one_user_share_its_rate(open_plane: OpenPlane, host: str) -> None:
    plane = open_plane(
        [(host, 0)],
        relay_hosts=[host],
        per_user=8000,
        receiver=lambda *_: None,
        icmp_receiver=lambda *_: None,
    )
    try:
        for session, user in ((1, "alice"), (2, "alice"), (3, "bob")):
            assert plane.open_relay(opening(session, FiveTuple(0, (host, session)), 0, user))
            plane.send_to_peer(SendToPeer(session, (host, 9), bytes(900), dont_fragment=False))

        assert plane.figures().drops[Drop.RATE] == 1
        plane.close_session(1)
        plane.close_session(2)
        assert plane.open_relay(opening(4, FiveTuple(0, (host, 1)), 0, "alice"))
        plane.send_to_peer(SendToPeer(4, (host, 9), bytes(900), dont_fragment=False))
        assert plane.figures().drops[Drop.RATE] == 1
    finally:
        plane.close()


@pytest.mark.parametrize("bits_per_second", [8000])
async def test_what_exceeds_the_rate_is_dropped_in_each_direction(rig: Rig) -> None:
    rig.permit_and_bind()
    for _ in range(2):
        rig.from_client(rig.channel_data(bytes(900)))
        rig.from_peer(bytes(900))

    await rig.dropped(Drop.RATE, 2)
    assert len((await rig.at_peer())[0]) == 900
    assert len(await rig.at_client()) == 904


async def test_a_listener_that_cannot_be_bound_leaves_nothing_open(
    open_plane: OpenPlane, rig: Rig, host: str
) -> None:
    with pytest.raises(OSError, match="in use"):
        open_plane(
            [(host, 0), rig.plane.listening[0]],
            relay_hosts=[host],
            receiver=lambda *_: None,
            icmp_receiver=lambda *_: None,
        )

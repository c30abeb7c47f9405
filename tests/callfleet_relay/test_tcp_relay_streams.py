"""TCP allocations on the network: clients over TCP and TLS, peers over TCP (RFC 6062)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aioice.stun import Method

from callfleet_relay.message import (
    Address,
    Attribute,
    Message,
    TcpMethod,
    pack_address,
    parse,
)
from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings
from callfleet_relay.transport import peer_stream
from callfleet_relay.transport.connections import ConnectionEnd
from tests.waiting import until

from .certificates import Pair
from .conftest import RelayProcess, StartRelay
from .streams import REPLY_SECONDS, StreamClient, connected
from .support import TCP, attribute, error_of, relayed_of
from .test_stream import address_of, closed

BIG = 8 << 20


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"allow_peer": ("127.0.0.0/8",), "max_allocations_per_user": 10}
    )


@pytest.fixture(params=["tcp", "tls"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(transport: str, pair: Pair) -> ssl.SSLContext | None:
    return pair.client_context if transport == "tls" else None


@dataclass
class Peer:
    """A TCP server, and what has connected to it."""

    server: asyncio.Server
    arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(
        default_factory=asyncio.Queue
    )

    @property
    def address(self) -> Address:
        host, port = self.server.sockets[0].getsockname()[:2]
        return host, port

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.wait_for(self.arrived.get(), REPLY_SECONDS)


@asynccontextmanager
async def listening() -> AsyncIterator[Peer]:
    writers: list[asyncio.StreamWriter] = []
    arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        arrived.put_nowait((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 14)
    yield Peer(server, arrived)
    server.close()
    for writer in writers:
        if not writer.is_closing():
            writer.transport.abort()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with listening() as made:
        yield made


async def connect(client: StreamClient, peer: Address) -> Message:
    """The answer to a Connect."""
    transaction_id = client.transaction_id()
    value = attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))
    return await client.exchange(
        client.build(TcpMethod.CONNECT, [value], transaction_id=transaction_id)
    )


def connection_id(message: Message) -> tuple[int, bytes]:
    value = message.first(Attribute.CONNECTION_ID)
    assert value is not None
    return attribute(Attribute.CONNECTION_ID, value)


@dataclass
class Control:
    """A TCP allocation, and a way to further connections of its client."""

    client: StreamClient
    relayed: Address
    stack: AsyncExitStack
    address: Address
    context: ssl.SSLContext | None

    async def data(self, number: tuple[int, bytes], receive_buffer: int = 0) -> StreamClient:
        """A data connection."""
        client = await self.stack.enter_async_context(
            connected(self.address, context=self.context, receive_buffer=receive_buffer)
        )
        assert error_of(await client.request(TcpMethod.CONNECTION_BIND, number)) is None
        return client


@asynccontextmanager
async def allocated(
    address: Address, context: ssl.SSLContext | None = None
) -> AsyncIterator[Control]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connected(address, context=context))
        (relayed,) = relayed_of(await client.request(Method.ALLOCATE, TCP))
        yield Control(client, relayed, stack, address, context)


@pytest.fixture
async def control(
    relay: Relay, transport: str, context: ssl.SSLContext | None
) -> AsyncIterator[Control]:
    async with allocated(address_of(relay, transport), context) as made:
        yield made


async def read(reader: asyncio.StreamReader, size: int) -> bytes:
    return await asyncio.wait_for(reader.readexactly(size), REPLY_SECONDS)


async def test_bytes_go_both_ways_as_they_are(control: Control, peer: Peer) -> None:
    number = connection_id(await connect(control.client, peer.address))
    reader, writer = await peer.connection()
    assert writer.get_extra_info("peername") == control.relayed
    writer.write(b"before the bind")
    data = await control.data(number)

    assert await read(data.reader, 15) == b"before the bind"
    for size in (1, 3, 70_000):
        data.writer.write(bytes(size))
        assert await read(reader, size) == bytes(size)
        writer.write(bytes(size))
        assert await read(data.reader, size) == bytes(size)


async def test_what_follows_the_bind_at_once_is_data(control: Control, peer: Peer) -> None:
    number = connection_id(await connect(control.client, peer.address))
    reader, _ = await peer.connection()
    async with connected(control.address, context=control.context) as data:
        challenge = await data.exchange(data.build(TcpMethod.CONNECTION_BIND, [number]))
        data.nonce = challenge.first(Attribute.NONCE)

        data.writer.write(data.build(TcpMethod.CONNECTION_BIND, [number]) + b"\xff\xffraw")

        assert error_of(parse(await data.frame())) is None
        assert await read(reader, 5) == b"\xff\xffraw"


async def test_a_peer_that_connects_is_announced(control: Control) -> None:
    stranger = await asyncio.open_connection(*control.relayed)
    assert await asyncio.wait_for(stranger[0].read(1), REPLY_SECONDS) == b""
    stranger[1].close()
    transaction_id = control.client.transaction_id()
    permission = attribute(
        Attribute.XOR_PEER_ADDRESS, pack_address(("127.0.0.1", 1), transaction_id)
    )
    request = control.client.build(
        Method.CREATE_PERMISSION, [permission], transaction_id=transaction_id
    )
    assert error_of(await control.client.exchange(request)) is None

    reader, writer = await asyncio.open_connection(*control.relayed)
    attempt = parse(await control.client.frame())
    data = await control.data(connection_id(attempt))

    writer.write(b"in")
    assert await read(data.reader, 2) == b"in"
    data.writer.write(b"out")
    assert await read(reader, 3) == b"out"
    writer.close()


@pytest.mark.parametrize("who", ["client", "peer", "session"])
async def test_all_that_was_sent_arrives_before_the_end(
    relay: Relay, control: Control, peer: Peer, who: str
) -> None:
    number = connection_id(await connect(control.client, peer.address))
    reader, writer = await peer.connection()
    data = await control.data(number)
    if who == "peer":
        writer.write(bytes(BIG))
        writer.close()
        assert len(await asyncio.wait_for(data.reader.read(-1), REPLY_SECONDS)) == BIG
    elif who == "client":
        data.writer.write(bytes(BIG))
        data.writer.close()
        assert len(await asyncio.wait_for(reader.read(-1), REPLY_SECONDS)) == BIG
    else:
        control.client.writer.close()
        await data.ended()
        assert await asyncio.wait_for(reader.read(-1), REPLY_SECONDS) == b""
    await until(lambda: not len(relay.server.tcp.connections))


async def test_who_does_not_read_holds_the_other_end_up_and_no_memory(
    relay: Relay, control: Control, peer: Peer
) -> None:
    number = connection_id(await connect(control.client, peer.address))
    reader, writer = await peer.connection()
    data = await control.data(number, receive_buffer=4096)
    assert relay.streams is not None
    (stream,) = relay.streams.peers._sessions[1].streams.values()
    assert stream.client is not None
    data.stop_reading()
    writer.write(bytes(BIG))
    await until(lambda: stream.client is not None and not stream._is_reading)

    assert 0 < stream.client.waiting < peer_stream.MAX_WAITING + 2 * peer_stream.CHUNK
    data.writer.write(bytes(BIG))
    await until(lambda: stream.client is not None and stream.client.is_spared)
    assert 0 < len(stream._out) <= 64 << 10

    data.read_again()
    received = asyncio.gather(read(data.reader, BIG), read(reader, BIG))
    assert [len(each) for each in await received] == [BIG, BIG]


@pytest.mark.parametrize("slow", ["client", "peer"])
async def test_who_takes_nothing_for_too_long_is_cut_off(
    relay: Relay, control: Control, peer: Peer, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_stream, "STALLED_SECONDS", 0.1)
    monkeypatch.setattr("callfleet_relay.transport.stream.STALLED_SECONDS", 0.1)
    number = connection_id(await connect(control.client, peer.address))
    _, writer = await peer.connection()
    data = await control.data(number, receive_buffer=4096)
    if slow == "client":
        data.stop_reading()
        writer.write(bytes(BIG))
        await until(lambda: closed(relay, ConnectionEnd.SLOW_READER) == 1)
    else:
        data.writer.write(bytes(BIG))
        await until(lambda: closed(relay, ConnectionEnd.SLOW_PEER) == 1)
    await until(lambda: not len(relay.server.tcp.connections))


async def test_an_allocation_cannot_connect_to_itself(relay: Relay) -> None:
    relay.server.policy.relayed._hosts = frozenset()
    async with allocated(address_of(relay, "tcp")) as control:
        assert error_of(await connect(control.client, control.relayed)) == 447


async def test_the_bit_rate_slows_a_connection_and_drops_nothing(
    settings: Settings, peer: Peer
) -> None:
    relay = Relay(settings.model_copy(update={"max_bits_per_second": 4_000_000}))
    try:
        async with allocated(address_of(relay, "tcp")) as control:
            number = connection_id(await connect(control.client, peer.address))
            reader, _ = await peer.connection()
            data = await control.data(number)
            loop = asyncio.get_running_loop()
            began = loop.time()
            data.writer.write(bytes(750_000))
            assert len(await read(reader, 750_000)) == 750_000
            # A second's worth at once, half of it after that.
            assert loop.time() - began > 0.4
    finally:
        relay.close()


@pytest.fixture
def process(start_stream_relay: StartRelay) -> RelayProcess:
    return start_stream_relay("--listen", "tcp://127.0.0.1:0", "--allow-peer", "127.0.0.0/8")


async def test_a_relay_on_uvloop_connects_and_is_refused(process: RelayProcess, peer: Peer) -> None:
    async with allocated(process.address) as control:
        number = connection_id(await connect(control.client, peer.address))
        reader, writer = await peer.connection()
        data = await control.data(number)
        data.writer.write(b"out")
        assert await read(reader, 3) == b"out"
        writer.transport.abort()
        await data.ended()
        peer.server.close()
        await peer.server.wait_closed()
        gone = peer_address_of(writer)

        assert error_of(await connect(control.client, gone)) == 447


def peer_address_of(writer: asyncio.StreamWriter) -> Address:
    host, port = writer.get_extra_info("sockname")[:2]
    return host, port

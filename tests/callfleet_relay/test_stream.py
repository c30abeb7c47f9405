"""TCP and TLS listeners of a relay on this loop, with clients on the network."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing, suppress

import pytest
from aioice.stun import Class, Method

from callfleet_relay import _native
from callfleet_relay.events import Drop, SessionEnd
from callfleet_relay.message import Address, Attribute, encode, unpack_address
from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings, parse_address
from callfleet_relay.transport import reception, stream, tcp
from callfleet_relay.transport.connection import MAX_QUEUED, MAX_QUEUED_REPLIES
from callfleet_relay.transport.connections import ConnectionEnd
from tests.waiting import until

from .certificates import Pair
from .streams import REPLY_SECONDS, connected, echo_peer
from .support import UDP, error_of
from .test_proxy_protocol import fixture

BINDING = encode(Method.BINDING, Class.REQUEST, b"t" * 12, [])


@pytest.fixture(params=["native", "python"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Over both planes: one of them has the datagrams of a stream's session in Rust."""
    update = {"allow_peer": ("127.0.0.0/8", "::1/128"), "dataplane": request.param}
    return settings.model_copy(update=update)


@pytest.fixture
async def proxied(settings: Settings) -> AsyncIterator[Relay]:
    """A relay behind a load balancer on loopback."""
    running = Relay(settings.model_copy(update={"proxy_protocol_from": ("127.0.0.0/8",)}))
    yield running
    running.close()


@pytest.fixture(params=["tcp", "tls"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(transport: str, pair: Pair) -> ssl.SSLContext | None:
    return pair.client_context if transport == "tls" else None


def address_of(relay: Relay, transport: str) -> Address:
    (listener,) = [text for text in relay.listening if text.startswith(transport)]
    return parse_address(listener.partition("://")[2])


def closed(relay: Relay, cause: ConnectionEnd) -> int:
    assert relay.streams is not None
    return relay.streams.stream_figures().closed[cause]


def connections(relay: Relay) -> int:
    assert relay.streams is not None
    return relay.streams.stream_figures().open.total()


def relayed(message: object) -> Address:
    value = message.first(Attribute.XOR_RELAYED_ADDRESS)  # type: ignore[attr-defined]
    return unpack_address(value, message.transaction_id)  # type: ignore[attr-defined]


async def test_data_goes_both_ways(
    relay: Relay, transport: str, context: ssl.SSLContext | None
) -> None:
    async with (
        echo_peer() as peer,
        connected(address_of(relay, transport), context=context) as client,
    ):
        reply = await client.open()
        assert error_of(reply) is None
        mapped = reply.first(Attribute.XOR_MAPPED_ADDRESS)
        assert mapped is not None
        assert unpack_address(mapped, reply.transaction_id) == client.address
        assert error_of(await client.bind_channel(peer.address)) is None
        for size in (1, 2, 3, 4, 5, 1200, 30_000):
            client.send_data(bytes(size))
            assert await client.frame() == b"\x40\0" + size.to_bytes(2, "big") + bytes(size)
        status = relay.status()
        assert status["allocations"] == 1
        assert status["connections"] == {"tcp": 0, "tls": 0} | {transport: 1}
        traffic = status["traffic"]
        assert isinstance(traffic, dict)
        assert (traffic["packetsFromClient"], traffic["packetsToClient"]) == (7, 7)


async def test_frames_may_come_in_any_pieces(relay: Relay) -> None:
    async with echo_peer() as peer, connected(address_of(relay, "tcp")) as client:
        await client.open()
        await client.bind_channel(peer.address)
        payloads = [bytes([number]) * number for number in range(1, 30)]
        pieces = b"".join(
            b"\x40\0" + len(each).to_bytes(2, "big") + each + bytes(-len(each) % 4)
            for each in payloads
        )
        for at in range(0, len(pieces), 5):
            client.writer.write(pieces[at : at + 5])
            await asyncio.sleep(0)
        received = [(await client.frame())[4:] for _ in payloads]

        assert received == payloads


async def test_a_closed_connection_ends_its_allocation(
    relay: Relay, transport: str, context: ssl.SSLContext | None
) -> None:
    async with connected(address_of(relay, transport), context=context) as client:
        await client.open()
        assert relay.server.allocations == 1

    await until(lambda: relay.server.allocations == 0)
    assert relay._counters.ended[SessionEnd.CLOSED] == 1
    assert connections(relay) == 0


async def test_clients_of_one_address_over_udp_and_tcp_are_two(relay: Relay) -> None:
    async with connected(address_of(relay, "tcp")) as client:
        await client.open()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.bind(client.address)
            udp.connect(address_of(relay, "udp"))
            udp.send(client.build(Method.ALLOCATE, [UDP]))
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_recv(udp, 2048), REPLY_SECONDS)

        assert relay.server.allocations == 2


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ConnectionEnd.MALFORMED),
        (b"\x80\0\0\0", ConnectionEnd.MALFORMED),
        (b"\0\1\xff\xfc", ConnectionEnd.MALFORMED),  # longer than anybody without an allocation may
        (fixture("ipv4"), ConnectionEnd.PROXY_HEADER),
    ],
)
async def test_what_is_not_turn_ends_the_connection(
    relay: Relay, data: bytes, cause: ConnectionEnd
) -> None:
    async with connected(address_of(relay, "tcp"), first=data) as client:
        await client.ended()

    assert closed(relay, cause) == 1


async def test_a_malformed_frame_ends_the_session_by_its_cause(relay: Relay) -> None:
    async with connected(address_of(relay, "tcp")) as client:
        await client.open()
        client.writer.write(b"\xff" * 8)
        await client.ended()

    assert relay._counters.ended[SessionEnd.MALFORMED] == 1
    assert relay.server.allocations == 0


async def test_plain_bytes_on_a_tls_listener_are_refused(relay: Relay) -> None:
    async with connected(address_of(relay, "tls"), first=fixture("ipv4")) as client:
        await client.ended()

    assert closed(relay, ConnectionEnd.TLS) == 1


async def test_a_handshake_that_is_broken_off_leaves_nothing(relay: Relay, pair: Pair) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = pair.client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client_end.do_handshake()
    hello = outgoing.read()
    for first in (hello[:100], hello):
        async with connected(address_of(relay, "tls"), first=first):
            await until(lambda: connections(relay) == 1)
        await until(lambda: connections(relay) == 0)

    causes = (ConnectionEnd.CLOSED, ConnectionEnd.RESET, ConnectionEnd.TLS)
    assert sum(closed(relay, cause) for cause in causes) == 2


async def test_tls_is_that_of_the_plane(relay: Relay, settings: Settings, pair: Pair) -> None:
    async with connected(address_of(relay, "tls"), context=pair.client_context) as client:
        assert error_of(await client.exchange(BINDING)) is None
        assert relay.streams is not None
        (connection,) = relay.streams.reception.by_five_tuple.values()

        is_native = isinstance(connection.tls, _native.TlsConnection)
        assert is_native == (settings.dataplane == "native")


async def test_a_connection_without_allocation_is_ended(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "SWEEP_SECONDS", 0.01)
    relay._stream_limits.idle_seconds = 60
    async with connected(address_of(relay, "tcp")) as client:
        await client.open()
        relay._stream_limits.idle_seconds = 0
        assert error_of(await client.request(Method.REFRESH, (0x000D, bytes(4)))) is None
        await client.ended()
    async with connected(address_of(relay, "tcp")) as silent:
        await silent.ended()

    assert closed(relay, ConnectionEnd.IDLE) == 2


async def test_a_handshake_has_a_deadline(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(reception, "HANDSHAKE_SECONDS", 0.0)
    async with connected(address_of(relay, "tls")) as client:
        await client.ended()

    assert closed(relay, ConnectionEnd.TLS) == 1


async def test_connections_are_limited_in_all_and_by_source(relay: Relay) -> None:
    address = address_of(relay, "tcp")
    relay._stream_limits.per_source = 1
    async with connected(address) as first:
        assert error_of(await first.exchange(BINDING)) is None
        async with connected(address) as second:
            await second.ended()
        assert closed(relay, ConnectionEnd.SOURCE_LIMIT) == 1
        relay._stream_limits.total = 1
        async with connected(address) as third:
            await third.ended()
        assert closed(relay, ConnectionEnd.TOTAL_LIMIT) == 1
        assert error_of(await first.exchange(BINDING)) is None


async def test_who_does_not_read_loses_data_and_then_the_connection(
    relay: Relay,
    transport: str,
    context: ssl.SSLContext | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        echo_peer() as peer,
        connected(address_of(relay, transport), context=context, receive_buffer=4096) as client,
    ):
        target = relayed(await client.open())
        await client.bind_channel(peer.address)
        client.stop_reading()
        figures = relay.plane.figures
        async with asyncio.timeout(REPLY_SECONDS):
            while not figures().drops[Drop.SLOW_READER]:
                for _ in range(50):
                    peer.send(bytes(1200), target)
                await asyncio.sleep(0)
        assert relay.streams is not None
        (connection,) = relay.streams.reception.by_five_tuple.values()
        assert MAX_QUEUED < connection.waiting < MAX_QUEUED + 2000
        assert relay.server.allocations == 1

        monkeypatch.setattr(reception, "SWEEP_SECONDS", 0.01)
        monkeypatch.setattr(stream, "SLOW_READER_SECONDS", 0.0)
        relay.streams.reception.end_within(connection, 0.0, ConnectionEnd.SLOW_READER)
        await until(lambda: relay.server.allocations == 0)

    assert relay._counters.ended[SessionEnd.SLOW_READER] == 1
    assert closed(relay, ConnectionEnd.SLOW_READER) == 1


async def test_who_asks_and_does_not_read_is_ended(relay: Relay) -> None:
    async with connected(address_of(relay, "tcp"), receive_buffer=4096) as client:
        client.stop_reading()
        async with asyncio.timeout(REPLY_SECONDS):
            while not closed(relay, ConnectionEnd.SLOW_READER):
                client.writer.write(BINDING * 100)
                await asyncio.sleep(0)
                for connection in relay.streams.reception.by_five_tuple.values():  # type: ignore[union-attr]
                    assert connection.waiting < MAX_QUEUED_REPLIES + 8 * (1 << 20)


async def test_a_reader_that_comes_back_gets_what_waited(
    relay: Relay, transport: str, context: ssl.SSLContext | None
) -> None:
    async with (
        echo_peer() as peer,
        connected(address_of(relay, transport), context=context, receive_buffer=4096) as client,
    ):
        target = relayed(await client.open())
        await client.bind_channel(peer.address)
        client.stop_reading()
        while not relay.plane.figures().drops[Drop.SLOW_READER]:
            for _ in range(50):
                peer.send(bytes(1200), target)
            await asyncio.sleep(0)
        client.read_again()
        assert relay.streams is not None
        (connection,) = relay.streams.reception.by_five_tuple.values()

        assert error_of(await client.bind_channel(peer.address)) is None
        assert connection.waiting == 0
        assert not connection.is_blocked


async def test_a_load_balancer_says_who_the_client_is(
    proxied: Relay, transport: str, context: ssl.SSLContext | None
) -> None:
    async with connected(
        address_of(proxied, transport), context=context, first=fixture("ipv4-with-extensions")
    ) as client:
        reply = await client.exchange(BINDING)
    mapped = reply.first(Attribute.XOR_MAPPED_ADDRESS)
    assert mapped is not None
    assert unpack_address(mapped, reply.transaction_id) == ("198.51.100.7", 40000)


async def test_a_load_balancers_own_connection_is_taken(proxied: Relay) -> None:
    async with connected(address_of(proxied, "tcp"), first=fixture("local")) as client:
        assert error_of(await client.exchange(BINDING)) is None


async def test_without_the_load_balancers_header_nothing_is_taken(proxied: Relay) -> None:
    async with connected(address_of(proxied, "tcp"), first=BINDING) as client:
        await client.ended()
    async with connected(address_of(proxied, "tls"), first=fixture("bad-tls")) as client:
        await client.ended()

    assert closed(proxied, ConnectionEnd.PROXY_HEADER) == 2


async def test_a_later_connection_of_the_same_client_takes_the_place(proxied: Relay) -> None:
    address, header = address_of(proxied, "tcp"), fixture("ipv6")
    async with connected(address, first=header) as first:
        await first.open()
        async with connected(address, first=header) as second:
            await second.open()
            await first.ended()
            assert proxied.server.allocations == 1
    assert closed(proxied, ConnectionEnd.REPLACED) == 1


async def test_clients_behind_a_load_balancer_are_counted_by_their_own_address(
    proxied: Relay,
) -> None:
    address = address_of(proxied, "tcp")
    proxied._stream_limits.per_source = 1
    async with (
        connected(address, first=fixture("ipv4")) as one,
        connected(address, first=fixture("ipv6")) as other,
    ):
        assert error_of(await one.exchange(BINDING)) is None
        assert error_of(await other.exchange(BINDING)) is None
        async with connected(address, first=fixture("ipv4")) as third:
            await third.ended()
    assert closed(proxied, ConnectionEnd.SOURCE_LIMIT) == 1


async def test_accept_outlives_the_want_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "PAUSE_SECONDS", 0.01)
    accepted: asyncio.Queue[Address] = asyncio.Queue()

    def take(connection: socket.socket, source: Address) -> None:
        connection.close()
        accepted.put_nowait(source)

    bound = tcp.bind_tcp("127.0.0.1", 0)
    acceptor = tcp.Acceptor(asyncio.get_running_loop(), bound, take)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # what is collected later would give a descriptor free
    with (
        closing(acceptor),
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client,
        ExitStack() as taken,
    ):
        first_free = os.dup(client.fileno())
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        try:
            with suppress(OSError):  # what others have given free meanwhile
                while True:
                    taken.callback(os.close, os.dup(client.fileno()))
            client.connect(bound.getsockname())
            await until(lambda: acceptor.errors >= 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        source = await asyncio.wait_for(accepted.get(), REPLY_SECONDS)
        assert source == client.getsockname()


async def test_ipv6_clients_are_served(settings: Settings) -> None:
    relay = Relay(settings.model_copy(update={"listen": ("tcp://[::1]:0",)}))
    try:
        async with connected(address_of(relay, "tcp")) as client:
            assert error_of(await client.open()) is None
    finally:
        relay.close()


async def test_a_stream_listener_that_cannot_be_bound_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = ("udp://127.0.0.1:0", f"tcp://127.0.0.1:{port}")
        with pytest.raises(OSError, match="in use") as refused:
            Relay(settings.model_copy(update={"listen": listen}))
    assert refused.value.filename == f"127.0.0.1 port {port}"

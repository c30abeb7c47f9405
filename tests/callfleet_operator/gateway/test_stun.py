"""A Binding request: to a real relay, to nobody, to somebody who answers something else."""

from __future__ import annotations

import asyncio
import socket

import pytest

from callfleet_operator.gateway.stun import NoAnswerError, TurnServer, binding
from tests.callfleet_relay.conftest import StartRelay


def local(port: int, transport: str = "UDP") -> TurnServer:
    return TurnServer("127.0.0.1", port, transport)


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("turn:192.0.2.1:3478", TurnServer("192.0.2.1", 3478, "UDP")),
        ("turn:192.0.2.1:3478?transport=udp", TurnServer("192.0.2.1", 3478, "UDP")),
        ("turn:[2001:db8::1]:3478?transport=tcp", TurnServer("2001:db8::1", 3478, "TCP")),
        ("turns:turn.example.org:5349?transport=tcp", TurnServer("turn.example.org", 5349, "TLS")),
    ],
)
def test_uris_are_read(uri: str, server: TurnServer) -> None:
    assert TurnServer.of(uri) == server


@pytest.mark.parametrize("uri", ["", "turn:", "stun:192.0.2.1:3478", "turn:192.0.2.1"])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="no TURN URI"):
        TurnServer.of(uri)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_relay_answers(start_relay: StartRelay, transport: str) -> None:
    listen = f"{transport.lower()}://127.0.0.1:0"
    relay = await asyncio.to_thread(start_relay, "--listen", listen)
    assert 0 < await binding(local(relay.address[1], transport), 5.0) < 5.0


async def test_who_speaks_no_tls_is_no_server(start_relay: StartRelay) -> None:
    relay = await asyncio.to_thread(start_relay, "--listen", "tcp://127.0.0.1:0")
    with pytest.raises(NoAnswerError):
        await binding(local(relay.address[1], "TLS"), 5.0)


async def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(NoAnswerError, match="refused"):
        await binding(local(port), 2.0)


@pytest.mark.parametrize("answer", [b"", b"hello", b"\x01\x01\x00\x00" + bytes(16)])
async def test_another_answer_is_none(answer: bytes) -> None:
    class Other(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.DatagramTransport)
            self.transport = transport

        def datagram_received(self, _data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(answer, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Other, local_addr=("127.0.0.1", 0)
    )
    try:
        port = transport.get_extra_info("sockname")[1]
        with pytest.raises(NoAnswerError, match="no answer within"):
            await binding(local(port), 0.3)
    finally:
        transport.close()


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(NoAnswerError):
        await binding(TurnServer("relay.invalid", 3478, "UDP"), 5.0)

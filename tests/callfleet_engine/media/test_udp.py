from __future__ import annotations

import asyncio
import socket

import pytest

from callfleet_engine.media.udp import UdpTransport
from tests.callfleet_engine.media.peers import until


class Recorder(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.errors: list[Exception] = []
        self.closed = False
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert addr[0] == "127.0.0.1"
        self.received.append(data)

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None
        self.closed = True


async def test_datagrams_go_both_ways_and_a_burst_is_read_whole() -> None:
    one, two = Recorder(), Recorder()
    a, b = UdpTransport.bind("127.0.0.1", one), UdpTransport.bind("127.0.0.1", two)
    sent = [b"%d" % index for index in range(100)]
    for data in sent:
        a.sendto(data, b.address)
    await until(lambda: len(two.received) == 100, "all datagrams")
    assert two.received == sent
    b.sendto(b"back", a.address)
    await until(lambda: one.received == [b"back"], "the answer")
    address = b.address
    a.close()
    b.abort()
    await until(lambda: one.closed and two.closed, "both are closed")
    a.sendto(b"late", address)
    assert a.is_closing()
    assert not one.errors


async def test_what_cannot_be_sent_is_reported_not_raised() -> None:
    recorder = Recorder()
    transport = UdpTransport.bind("127.0.0.1", recorder)
    transport.sendto(bytes(70_000), ("127.0.0.1", 9))
    assert [type(e) for e in recorder.errors] == [OSError]
    transport.close()
    await until(lambda: recorder.closed, "closed")


async def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(OSError, match="assign"):
        UdpTransport.bind("192.0.2.1", Recorder())


async def test_close_frees_the_port() -> None:
    recorder = Recorder()
    transport = UdpTransport.bind("127.0.0.1", recorder)
    address = transport.address
    assert transport.get_extra_info("sockname") == address
    assert transport.get_extra_info("peername", "none") == "none"
    transport.close()
    transport.close()
    await until(lambda: recorder.closed, "closed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)

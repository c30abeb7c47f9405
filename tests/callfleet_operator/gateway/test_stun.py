"""A Binding request: to a real relay, to nobody, to somebody who answers something else."""

from __future__ import annotations

import asyncio
import socket

import pytest

from callfleet_operator.gateway.stun import NoAnswerError, binding
from tests.callfleet_relay.conftest import StartRelay


async def test_a_relay_answers(start_relay: StartRelay) -> None:
    relay = await asyncio.to_thread(start_relay)
    host, port = relay.address
    assert 0 < await binding(host, port, 5.0) < 5.0


async def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(NoAnswerError, match="refused"):
        await binding("127.0.0.1", port, 2.0)


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
            await binding("127.0.0.1", port, 0.3)
    finally:
        transport.close()


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(NoAnswerError):
        await binding("relay.invalid", 3478, 5.0)

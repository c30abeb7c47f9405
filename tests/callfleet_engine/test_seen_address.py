"""An engine that asks a STUN server for its address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aioice import stun

from callfleet_engine.seen_address import NoGoodAnswer, SeenAddress, StunServer, ask, seen
from callfleet_engine.settings import InvalidSettings, load
from tests.callfleet_engine.engines import running, settings
from tests.waiting import until

TRANSACTION = b"t" * 12


class _Server(asyncio.DatagramProtocol):
    """Answers each request with the address it was told to, at first with nothing."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if self.address is not None:
            request = stun.parse_message(data)
            self.transport.sendto(answer(self.address, request.transaction_id), addr)


def answer(
    address: str,
    transaction_id: bytes = TRANSACTION,
    kind: stun.Class = stun.Class.RESPONSE,
) -> bytes:
    message = stun.Message(stun.Method.BINDING, kind, transaction_id=transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = (address, 40000)
    return bytes(message)


@asynccontextmanager
async def stun_server(address: str | None) -> AsyncIterator[tuple[_Server, StunServer]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Server(address), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol, StunServer("127.0.0.1", transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


async def test_no_call_is_taken_before_the_server_has_answered(tmp_path: Path) -> None:
    async with stun_server(None) as (server, named), aiohttp.ClientSession() as http:
        given = settings(tmp_path, external_address_from=str(named), advertise="both")
        async with running(given) as [engine]:
            await until(lambda: server.asked > 0)
            async with http.get(f"http://{engine.listening.metrics}/readyz") as response:
                assert response.status == 503
                assert str(named) in (await response.json())["reason"]
            assert str(named) in engine.parts.status().address_problem

            server.address = "203.0.113.9"
            await until(lambda: engine.parts.status().addresses != ())
            assert [(one.address, one.source) for one in engine.parts.status().addresses] == [
                ("203.0.113.9", str(named)),
                ("127.0.0.1", "--media-address"),
            ]
            assert engine.parts.status().address_problem == ""
            async with http.get(f"http://{engine.listening.metrics}/readyz") as response:
                assert response.status == 200


async def test_an_address_stays_while_the_server_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("callfleet_engine.seen_address.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("callfleet_engine.seen_address.FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr("callfleet_engine.seen_address.RETRANSMIT_SECONDS", (0.05,))
    async with stun_server("203.0.113.9") as (server, named):
        address = SeenAddress(named, "127.0.0.1")
        following = asyncio.create_task(address.follow())
        try:
            await until(lambda: address.address is not None)
            server.address = None
            await until(lambda: address.problem != "")
            assert address.address is not None
            server.address = "203.0.113.10"
            await until(
                lambda: address.address is not None and address.address.address == "203.0.113.10"
            )
        finally:
            following.cancel()


async def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(OSError, match=r"."):
        await ask(StunServer("no-such-host.invalid", 3478), "127.0.0.1")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"nothing", "no STUN message"),
        (answer("203.0.113.9", b"u" * 12), "no success response to the request"),
        (answer("203.0.113.9", kind=stun.Class.ERROR), "no success response to the request"),
        (answer("2001:db8::1"), "another family"),
        (answer("127.0.0.1"), "reaches nobody"),
        (answer("169.254.1.1"), "reaches nobody"),
        (answer("224.0.0.1"), "reaches nobody"),
        (bytes(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, TRANSACTION)), "has no XOR"),
    ],
)
def test_answers_that_nobody_can_be_told(data: bytes, why: str) -> None:
    with pytest.raises(NoGoodAnswer, match=why):
        seen(data, TRANSACTION, "10.0.0.1")


@pytest.mark.parametrize("text", ["203.0.113.9", "stun:host", "stun:host:0", "stun:host:70000"])
def test_what_is_no_stun_server(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"--external-address-from.*stun:HOST:PORT"):
        load({"open": True, "external_address_from": text})

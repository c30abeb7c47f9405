"""The shared port with aioice's full agent as client, over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aioice.ice import Connection

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.ice_lite import SILENT_SWEEPS_WITH_MEDIA, LiteConnection
from callfleet_engine.media.port import SOCKETS, MediaPort
from tests.callfleet_engine.media.ice_clients import DTLS, MEDIA, pass_sweeps
from tests.callfleet_engine.media.peers import until
from tests.callfleet_engine.media.translator import Translator


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


async def first_dtls(connection: LiteConnection) -> bytes:
    """The first datagram of DTLS that has arrived, or does."""
    received: list[bytes] = []
    connection.take_dtls(received.append)
    await until(lambda: received != [], "DTLS arrives")
    return received[0]


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
    assert await first_dtls(lite) == DTLS
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
        assert await first_dtls(agent.lite) == b"\x16%d" % number
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

"""What stream clients and their peers get is the same by both planes, whatever comes and when."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import ip_address
from random import Random

import pytest
from aioice.stun import Method

from callfleet_relay.message import Address, Attribute, parse
from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings, parse_address
from tests.waiting import until

from .certificates import Pair
from .streams import StreamClient, connected
from .support import UDP, attribute, error_of, relayed_of

ROUNDS = 30
# asyncio sends no empty datagram: the first is for clients.
SIZES = [0, 1, 2, 3, 4, 160, 160, 160, 160, 1200, 1200, 4000]
BOUND = 3
"""Peers with a channel; one more is permitted, by its host."""
BOTH = attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")


class Peer(asyncio.DatagramProtocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's
        self.got.append(data)


async def run(settings: Settings, seed: int, context: ssl.SSLContext | None) -> object:
    """Everything that came out at either end."""
    relay, random = Relay(settings), Random(seed)  # noqa: S311 - so that a test can be repeated
    loop = asyncio.get_running_loop()
    try:
        async with AsyncExitStack() as stack:
            hosts = ["127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"]
            peers: list[tuple[asyncio.DatagramTransport, Peer]] = []
            for host in hosts:
                peers.append(await loop.create_datagram_endpoint(Peer, local_addr=(host, 0)))
                stack.callback(peers[-1][0].close)
            scheme = "tls" if context else "tcp"
            listener = next(each for each in relay.listening if each.startswith(scheme))
            address = parse_address(listener.partition("://")[2])
            client = await stack.enter_async_context(connected(address, context=context))
            allocated = await client.request(Method.ALLOCATE, UDP, BOTH)
            assert error_of(allocated) is None
            for number, (transport, _) in enumerate(peers[:BOUND]):
                peer = transport.get_extra_info("sockname")[:2]
                assert error_of(await client.bind_channel(peer, 0x4000 + number)) is None
            relayed = {":" in host: (host, port) for host, port in relayed_of(allocated)}
            by_channel: defaultdict[bytes, list[bytes]] = defaultdict(list)
            for _ in range(ROUNDS):
                await to_peers(relay, client, random)
                await until(partial(have_come, relay, [each for _, each in peers]))
                for channel, frame in await to_client(relay, client, random, peers, relayed):
                    by_channel[channel].append(frame)
            figures = relay.plane.figures()
            return [each.got for _, each in peers], by_channel, figures.traffic, figures.drops
    finally:
        relay.close()


def have_come(relay: Relay, peers: list[Peer]) -> bool:
    """Whether peers have read all that was relayed to them: the loop reads one at a time."""
    return sum(len(each.got) for each in peers) == relay.plane.figures().traffic.packets_from_client


async def to_peers(relay: Relay, client: StreamClient, random: Random) -> None:
    """Frames of bound and unbound channels, in pieces that end anywhere."""
    before, count = settled(relay), random.randrange(1, 40)
    stream = b""
    for number in range(count):
        payload = random.randbytes(random.choice(SIZES))
        channel = 0x4000 + random.choice([0, 0, 0, 1, 2, BOUND])
        stream += channel.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload
        stream += bytes(-len(payload) % 4)
        if not random.randrange(4) or number == count - 1:
            cut = random.randrange(len(stream) + 1) if number < count - 1 else len(stream)
            client.write(stream[:cut])
            await client.writer.drain()
            stream = stream[cut:]
    await until(lambda: settled(relay) == before + count)


async def to_client(
    relay: Relay,
    client: StreamClient,
    random: Random,
    peers: list[tuple[asyncio.DatagramTransport, Peer]],
    relayed: dict[bool, Address],
) -> list[tuple[bytes, bytes]]:
    """Datagrams of peers with a channel, and of one whose host alone is permitted; what came."""
    before, count = settled(relay), random.randrange(1, 20)
    for _ in range(count):
        transport, _ = random.choice(peers)
        host = transport.get_extra_info("sockname")[0]
        transport.sendto(random.randbytes(random.choice(SIZES[1:])), relayed[":" in host])
    came = []
    for _ in range(count):
        frame = await client.frame()
        if frame[0] & 0xC0:
            came.append((frame[:2], frame))
        else:
            came.append((b"", parse(frame).first(Attribute.DATA) or b""))
    assert settled(relay) == before + count
    return came


def settled(relay: Relay) -> int:
    """Packets that were relayed or dropped."""
    figures = relay.plane.figures()
    return figures.traffic.packets + sum(figures.drops.values())


@pytest.mark.parametrize(("seed", "transport"), [(0, "tcp"), (1, "tcp"), (2, "tcp"), (3, "tls")])
async def test_both_planes_do_the_same(
    settings: Settings, pair: Pair, seed: int, transport: str
) -> None:
    allowed = {
        "allow_peer": ("127.0.0.0/8", "::1/128"),
        "relay_address": tuple(map(ip_address, ("127.0.0.1", "::1"))),
        "peers_from_admin": False,
    }
    context = pair.client_context if transport == "tls" else None
    outcomes = [
        await run(settings.model_copy(update={**allowed, "dataplane": plane}), seed, context)
        for plane in ("python", "native")
    ]

    assert outcomes[0] == outcomes[1]

"""TURN clients that we did not write: coturn's and aioice's."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aioice.turn import create_turn_endpoint

from callfleet_relay.settings import format_address
from tests.ports import free_port

from .certificates import Pair
from .conftest import START_SECONDS, StartRelay
from .support import SECRET, consumer_credential

pytestmark = pytest.mark.peer

CLIENT_SECONDS = 60.0
TOTALS = re.compile(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)")


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: run `python -m tests.cluster prepare --for peers`"
    return found


@contextmanager
def echo_peer(host: str = "127.0.0.1") -> Iterator[int]:
    """coturn's echo peer on loopback; its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = free_port(host)
    command = [program("turnutils_peer"), "-L", host, "-p", str(port)]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        socket.socket(family, socket.SOCK_DGRAM) as ping,
    ):
        ping.settimeout(0.05)
        end = time.monotonic() + START_SECONDS
        try:
            while True:
                ping.sendto(b"ready?", (host, port))
                try:
                    ping.recv(100)
                    break
                except (TimeoutError, ConnectionRefusedError):
                    assert time.monotonic() < end, "turnutils_peer does not answer"
            yield port
        finally:
            process.terminate()


def run_uclient(server: tuple[str, int], *flags: str) -> tuple[int, int]:
    """Messages sent and received by all of its clients."""
    command = [program("turnutils_uclient"), "-W", SECRET.decode(), "-u", "alice"]
    command += ["-n", "40", "-l", "170", "-z", "5", *flags, "-p", str(server[1]), server[0]]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=CLIENT_SECONDS, check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    sent, received = TOTALS.findall(output)[-1]
    return int(sent), int(received)


@pytest.mark.parametrize(
    ("flags", "messages"),
    [
        (("-c", "-D", "-m", "8"), 320),
        (("-c", "-s", "-X", "-g", "-m", "8"), 320),
    ],
    ids=["channels-padded", "indications-family-dont-fragment"],
)
def test_coturns_client_loses_nothing(
    start_relay: StartRelay, flags: tuple[str, ...], messages: int
) -> None:
    relay = start_relay("--allow-peer", "127.0.0.0/8", "--max-allocations-per-user", "100")
    with echo_peer() as port:
        counts = run_uclient(relay.address, *flags, "-e", "127.0.0.1", "-r", str(port))

    assert counts == (messages, messages)


@pytest.mark.parametrize(
    ("listener", "host", "mode", "dataplane"),
    [
        ("tcp", "127.0.0.1", ("-c",), "native"),
        ("tcp", "127.0.0.1", ("-c",), "python"),
        ("tcp", "::1", ("-c", "-s"), "native"),
        ("tls", "127.0.0.1", ("-c", "-s"), "native"),
        ("tls", "::1", ("-c",), "native"),
        ("tls", "::1", ("-c",), "python"),
    ],
    ids=[
        "tcp-channels",
        "tcp-channels-python",
        "tcp-ipv6-indications",
        "tls-indications",
        "tls-ipv6-channels",
        "tls-ipv6-channels-python",
    ],
)
def test_coturns_client_loses_nothing_over_a_stream(
    start_stream_relay: StartRelay,
    host: str,
    listener: str,
    mode: tuple[str, ...],
    dataplane: str,
) -> None:
    listen = f"{listener}://{format_address((host, 0))}"
    relay = start_stream_relay(
        *("--listen", listen, "--relay-address", host, "--max-allocations-per-user", "100"),
        *("--allow-peer", "127.0.0.0/8", "--allow-peer", "::1/128", "--dataplane", dataplane),
    )
    flags = [*mode, "-t", "-m", "8", "-n", "150"]
    flags += ["-S"] if listener == "tls" else []
    flags += ["-x"] if ":" in host else []
    with echo_peer(host) as port:
        counts = run_uclient(relay.address, *flags, "-e", host, "-r", str(port))

    assert counts == (1200, 1200)


def test_coturns_clients_call_each_other(start_relay: StartRelay) -> None:
    relay = start_relay(
        "--allow-peer", "127.0.0.0/8", "--allow-hairpin", "--max-allocations-per-user", "100"
    )

    assert run_uclient(relay.address, "-y", "-c", "-m", "4") == (160, 160)


def test_coturns_stun_client_sees_its_address(start_relay: StartRelay) -> None:
    relay = start_relay()

    result = subprocess.run(
        [program("turnutils_stunclient"), "-p", str(relay.address[1]), relay.address[0]],
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
        check=False,
    )

    assert "UDP reflexive addr: 127.0.0.1:" in result.stdout + result.stderr


class Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self.received.put_nowait((data, (str(addr[0]), addr[1])))


@pytest.mark.parametrize("listener", ["udp", "tcp", "tls"])
async def test_aioices_client_relays_both_ways(
    start_stream_relay: StartRelay, pair: Pair, listener: str
) -> None:
    listen = f"{listener}://127.0.0.1:0"
    relay = start_stream_relay("--allow-peer", "127.0.0.0/8", "--listen", listen)
    credential = consumer_credential(expires=time.time() + 600)
    async with asyncio.timeout(START_SECONDS):
        loop = asyncio.get_running_loop()
        peer, inbox = await loop.create_datagram_endpoint(Inbox, local_addr=("127.0.0.1", 0))
        transport, protocol = await create_turn_endpoint(
            Inbox,
            relay.address,
            credential.username,
            credential.password,
            ssl=pair.client_context if listener == "tls" else None,
            transport="udp" if listener == "udp" else "tcp",
        )
        relayed = transport.get_extra_info("sockname")

        transport.sendto(b"to peer", peer.get_extra_info("sockname"))
        assert await inbox.received.get() == (b"to peer", relayed)
        peer.sendto(b"to client", relayed)
        data, _ = await protocol.received.get()
        assert data == b"to client"

        transport.close()
        peer.close()
        allocations = ""
        while "callfleet_relay_allocations 0.0" not in allocations:
            allocations = await asyncio.to_thread(fetch, f"{relay.metrics_url}/metrics")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=START_SECONDS) as response:  # noqa: S310 - http
        text: bytes = response.read()
    return text.decode()

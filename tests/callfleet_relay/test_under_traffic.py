"""What changes while a relay runs takes no packet of the sessions it has."""

from __future__ import annotations

import asyncio
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aioice.stun import Method

from .certificates import Pair, make_pair
from .conftest import START_SECONDS, RelayProcess, StartRelay
from .streams import EchoPeer, LoopClient, connected, echo_peer, over_udp
from .support import SECRET, error_of, lifetime, plain_credential
from .test_serve import call, log_of

pytestmark = pytest.mark.slow

WINDOW = 8
"""Packets of one client that are on their way at a time."""
SHORT_SECONDS = 6.0
"""How long one client's credential is good for."""
BETWEEN = 100
"""Packets of each client before and after each change."""


@dataclass
class Traffic:
    """One client's packets to an echo, and what came back."""

    client: LoopClient
    sent: int = 0
    received: list[int] = field(default_factory=list)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WINDOW))

    async def send(self) -> None:
        while True:
            await self._room.acquire()
            self.client.send_data(self.sent.to_bytes(4, "big") + bytes(156))
            self.sent += 1

    async def receive(self) -> None:
        while True:
            frame = await self.client.frame()
            self.received.append(int.from_bytes(frame[4:8], "big"))
            self._room.release()


class Crowd:
    """All clients of a test."""

    def __init__(self, clients: list[Traffic]) -> None:
        self.clients = clients
        self._senders = [asyncio.ensure_future(each.send()) for each in clients]
        self._receivers = [asyncio.ensure_future(each.receive()) for each in clients]

    async def goes_on(self) -> None:
        """Until every client has had so many packets more."""
        wanted = [len(each.received) + BETWEEN for each in self.clients]
        async with asyncio.timeout(START_SECONDS):
            while any(
                len(each.received) < count for each, count in zip(self.clients, wanted, strict=True)
            ):
                broken = [task for task in self._receivers + self._senders if task.done()]
                assert not broken, broken
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Until all that was sent has come back."""
        for task in self._senders:
            task.cancel()
        async with asyncio.timeout(START_SECONDS):
            while any(len(each.received) < each.sent for each in self.clients):  # noqa: ASYNC110 - polled, as a stranger would
                await asyncio.sleep(0.01)
        for task in self._receivers:
            task.cancel()
        await asyncio.gather(*self._senders, *self._receivers, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


def mount(directory: Path, pair: Pair) -> None:
    """As kubelet replaces a mounted Secret: all files at once."""
    fresh = directory / "..new"
    fresh.symlink_to(pair.certificate.parent)
    fresh.replace(directory / "..data")


def rotate(secret_file: Path) -> None:
    secret_file.write_bytes(b"a-newer-secret-of-more-than-32-characters\n" + SECRET + b"\n")


async def join(client: LoopClient, peer: EchoPeer) -> Traffic:
    assert error_of(await client.open()) is None
    assert error_of(await client.bind_channel(peer.address)) is None
    return Traffic(client)


def metrics_of(relay: RelayProcess) -> str:
    with urllib.request.urlopen(f"{relay.metrics_url}/metrics", timeout=START_SECONDS) as answer:  # noqa: S310 - http
        return str(answer.read(), "utf-8")


@pytest.fixture
def secrets_mount(tmp_path: Path) -> Path:
    directory = tmp_path / "mounted"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("dataplane", ["native", "python"])
async def test_no_packet_is_lost_to_a_change(
    start_relay: StartRelay,
    tmp_path: Path,
    secrets_mount: Path,
    secret_file: Path,
    dataplane: str,
) -> None:
    first, second = make_pair(tmp_path / "v1"), make_pair(tmp_path / "v2")
    mount(secrets_mount, first)
    limits = tmp_path / "limits.json"
    limits.write_text("{}")
    data = secrets_mount / "..data"
    relay = start_relay(
        *("--listen", "udp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0"),
        *("--listen", "tls://127.0.0.1:0", "--dataplane", dataplane, "--credential-grace", "0"),
        *("--cert", str(data / "tls.crt"), "--key", str(data / "tls.key")),
        *("--allow-peer", "127.0.0.0/8", "--limits-file", str(limits)),
    )
    udp, tcp, tls = relay.addresses
    drain = {"podUid": relay.listening["podUid"], "drainId": "d1"}

    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(echo_peer())
        brief = plain_credential("brief", expires=time.time() + SHORT_SECONDS)
        expiring = await stack.enter_async_context(over_udp(udp, brief))
        assert error_of(await expiring.open()) is None
        datagrams = await stack.enter_async_context(over_udp(udp))
        over_tcp = await stack.enter_async_context(connected(tcp))
        over_tls = await stack.enter_async_context(connected(tls, context=first.client_context))
        crowd = Crowd([await join(each, peer) for each in (datagrams, over_tcp, over_tls)])
        await crowd.goes_on()

        mount(secrets_mount, second)
        await until(lambda: len(log_of(relay, "certificate read")) == 1)
        async with connected(tls, context=second.client_context) as late:
            assert error_of(await late.open()) is None
        await crowd.goes_on()

        await until(lambda: ("udp", "credential_expired") in ends(relay))
        assert error_of(await expiring.request(Method.REFRESH)) in {401, 437}
        await crowd.goes_on()

        second.certificate.write_text("broken")
        await until(lambda: 'file_usable{file="certificate"} 0.0' in metrics_of(relay))
        assert "certificate not usable, what was read before stays" in relay.log.read_text()
        second.certificate.write_bytes(first.certificate.read_bytes())
        second.key.write_bytes(first.key.read_bytes())
        await crowd.goes_on()

        limits.write_text('{"maxAllocationsPerUser": 3, "realm": "other", "maxAlocations": 1}')
        rotate(secret_file)
        relay.process.send_signal(signal.SIGHUP)
        await until(lambda: reloaded(relay))
        async with over_udp(udp) as fourth:
            assert error_of(await fourth.open()) == 486
        (refused,) = log_of(relay, "not taken from the limits file")[-1:]
        assert refused["needs_restart"] == ["realm"]
        assert refused["unknown"] == ["maxAlocations"]
        await crowd.goes_on()

        await asyncio.to_thread(call, relay, "POST", "/drain", drain)
        async with connected(tcp) as refused_one:
            assert error_of(await refused_one.open()) in {300, 508}
        await crowd.goes_on()
        await asyncio.to_thread(call, relay, "DELETE", "/drain", drain)
        await crowd.goes_on()
        relay.process.send_signal(signal.SIGTERM)
        await until(lambda: bool(log_of(relay, "terminating")))
        await crowd.goes_on()

        await crowd.end()
        for each in crowd.clients:
            assert each.received == list(range(each.sent))
            assert each.sent > 7 * BETWEEN
        assert error_of(await datagrams.request(Method.REFRESH, lifetime(0))) is None

    assert await asyncio.to_thread(relay.process.wait, START_SECONDS) == 0
    ended = log_of(relay, "session ended")
    assert ends(relay) == {
        ("udp", "credential_expired"),
        ("udp", "deleted"),
        ("tcp", "closed"),
        ("tls", "closed"),
    }
    assert sum(int(str(line["packets_to_client"])) for line in ended) == sum(
        each.sent for each in crowd.clients
    )


def ends(relay: RelayProcess) -> set[tuple[object, object]]:
    """Transport and cause of each session that has ended."""
    return {(line["transport"], line["cause"]) for line in log_of(relay, "session ended")}


def reloaded(relay: RelayProcess) -> bool:
    lines = log_of(relay, "reloaded; flags and environment variables are read at a start only")
    return bool(lines) and lines[0]["taken"] == ["secrets", "certificate", "limits"]

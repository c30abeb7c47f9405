"""Relays that run: in this process, or as a user starts one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings, parse_address

from .certificates import Pair, make_pair
from .support import SECRET

START_SECONDS = 20.0
POD_UID = "00000000-0000-0000-0000-000000000001"


@dataclass
class RelayProcess:
    """A relay in a process of its own."""

    process: subprocess.Popen[str]
    listening: dict[str, Any]
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        return self.addresses[0]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Of its listeners, in the order asked for."""
        return [parse_address(text.partition("://")[2]) for text in self.listening["listen"]]

    @property
    def metrics_url(self) -> str:
        return f"http://{self.listening['metrics']}"

    @property
    def admin_url(self) -> str:
        return f"http://{self.listening['admin']}/admin/v1"

    def stop(self) -> int:
        """End it at once, sessions or not; its exit status."""
        # Two different signals: of two alike, sent in a row, the kernel keeps one.
        for number in (signal.SIGTERM, signal.SIGINT):
            if self.process.poll() is None:
                self.process.send_signal(number)
        try:
            return self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


StartRelay = Callable[..., RelayProcess]


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    path.write_bytes(SECRET + b"\n")
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_pair(tmp_path / "certificate")


@pytest.fixture
def start_relay(tmp_path: Path, secret_file: Path) -> Iterator[StartRelay]:
    """Starts `callfleet-relay` on free ports of loopback with more flags."""
    with ExitStack() as stack:

        def start(*flags: str) -> RelayProcess:
            log = tmp_path / "relay.log"
            command = [sys.executable, "-m", "callfleet_relay"]
            if "--listen" not in flags:
                command += ["--listen", "udp://127.0.0.1:0"]
            if "--relay-address" not in flags:
                command += ["--relay-address", "127.0.0.1"]
            command += ["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
            command += ["--secret-file", str(secret_file), "--realm", "test", *flags]
            stderr = stack.enter_context(log.open("w"))
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
            stack.enter_context(process)
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the relay did not start: {log.read_text()}"
            relay = RelayProcess(process, json.loads(line), log)
            stack.callback(relay.stop)
            return relay

        yield start


@pytest.fixture
def start_stream_relay(start_relay: StartRelay, pair: Pair) -> StartRelay:
    """As `start_relay`, with the certificate that a TLS listener among the flags needs."""

    def start(*flags: str) -> RelayProcess:
        if any(flag.startswith("tls://") for flag in flags):
            flags = ("--cert", str(pair.certificate), "--key", str(pair.key), *flags)
        return start_relay(*flags)

    return start


@pytest.fixture
def settings(secret_file: Path, pair: Pair) -> Settings:
    return Settings.model_validate(
        {
            "listen": ("tls://127.0.0.1:0", "udp://127.0.0.1:0", "tcp://127.0.0.1:0"),
            "cert": pair.certificate,
            "key": pair.key,
            "relay_address": "127.0.0.1",
            "relay_ports": "20000-29999",
            "secret_file": secret_file,
            "realm": "test",
            "peers_from_admin": True,
            "pod_name": "relays-relay-0",
            "pod_uid": POD_UID,
        }
    )


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    """A relay on this test's loop."""
    running = Relay(settings)
    yield running
    running.close()

"""The servers that `tests.bench.relay` compares, each on a core of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.callfleet_relay.certificates import Pair, make_pair
from tests.callfleet_relay.support import REALM
from tests.ports import free_port

SECRET = "benchmark-secret-of-32-characters"
SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS = 10.0
HOST = "127.0.0.1"
MANY = "60000"
"""Allocations of one user: no limit here."""


@dataclass(frozen=True)
class Server:
    """A server under measurement."""

    name: str
    pid: int
    ports: dict[str, int]
    """Of its UDP, TCP and TLS listeners."""
    certificate: Pair

    @property
    def address(self) -> tuple[str, int]:
        """Where UDP clients come."""
        return HOST, self.ports["udp"]

    def cpu_seconds(self) -> float:
        """CPU time of all its threads, by the scheduler's accounting."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def resident_bytes(self) -> int:
        """Memory that is there, shared pages included."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        sys.exit(f"{name} is missing: apt-get install coturn")
    return found


@contextmanager
def process(command: list[str], core: int) -> Iterator[subprocess.Popen[str]]:
    """A child on one core, ended at the end."""
    started = subprocess.Popen(
        [program("taskset"), "-c", str(core), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with started:
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                started.kill()


@contextmanager
def callfleet(dataplane: str, directory: Path) -> Iterator[Server]:
    """Our relay."""
    secrets, pair = directory / "secrets", make_pair(directory)
    secrets.write_text(SECRET)
    command = [sys.executable, "-m", "callfleet_relay", "--relay-address", HOST, "--realm", REALM]
    transports = ("udp", "tcp", "tls")
    for transport in transports:
        command += ["--listen", f"{transport}://{HOST}:0"]
    command += ["--cert", str(pair.certificate), "--key", str(pair.key)]
    command += ["--secret-file", str(secrets), "--allow-peer", "127.0.0.0/8"]
    command += ["--max-allocations", "12000", "--max-allocations-per-user", MANY]
    # All clients have one address here.
    command += ["--allocation-rate", "0", "--reply-rate", "0"]
    command += ["--metrics", f"{HOST}:0", "--admin", f"{HOST}:0", "--termination-grace", "0"]
    command += ["--log-level", "warning", "--dataplane", dataplane, "--max-connections", "1000"]
    with process(command, SERVER_CORE) as started:
        assert started.stdout is not None
        listening = json.loads(started.stdout.readline())["listen"]
        ports = [int(each.rpartition(":")[2]) for each in listening]
        yield Server(dataplane, started.pid, dict(zip(transports, ports, strict=True)), pair)


@contextmanager
def coturn(directory: Path) -> Iterator[Server]:
    """Debian's turnserver with one relay thread."""
    port, pair = free_port(), make_pair(directory)
    command = [program("turnserver"), "-n", "-L", HOST, "-E", HOST, "-p", str(port)]
    command += ["--use-auth-secret", f"--static-auth-secret={SECRET}", "-r", REALM]
    command += [f"--cert={pair.certificate}", f"--pkey={pair.key}", "--no-dtls", "--no-cli"]
    command += [f"--tls-listening-port={free_port()}", "--allow-loopback-peers"]
    command += ["-m", "1", "--pidfile", str(directory / "pid"), "--userdb", str(directory / "db")]
    command += ["-l", str(directory / "log"), "--simple-log", "--no-stdout-log"]
    with process(command, SERVER_CORE) as started:
        end = time.monotonic() + START_SECONDS
        while not answers((HOST, port)):
            assert time.monotonic() < end, "turnserver does not answer"
        # It tells TLS from TURN by the first bytes, on any of its ports.
        yield Server("coturn", started.pid, dict.fromkeys(("udp", "tcp", "tls"), port), pair)


def answers(address: tuple[str, int]) -> bool:
    """Whether a server answers a Binding request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(address)
        try:
            client.send(bytes.fromhex("000100002112a442") + bytes(12))
            client.recv(1500)
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.05)
            return False
    return True

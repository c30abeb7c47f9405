"""How much a relayed packet costs, beside coturn's turnserver in the same run.

`python -m tests.bench.relay` takes about three minutes and prints a table: both data planes, and
coturn. Servers run on one core and what loads them on another, by turns, on loopback. Loads:

- flood: ChannelData as fast as the generator can, in bursts of 8 over 16 flows or one by one over
  256, with payloads of 160 and 1,200 bytes; the peer's socket is never read, the kernel counts what
  arrives. CPU time of a packet on a saturated core.
- echo: coturn's own client and echo peer (`turnutils_uclient`, 16 clients), paced; what it costs
  where a core is not full, both directions.

CPU time is the scheduler's accounting of the server's threads. Loopback charges the receiver's
work to the sender, for all servers alike.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from callfleet_relay.credentials import rest_password
from tests.callfleet_relay.support import REALM, Credential, UdpClient, error_of
from tests.ports import free_port

SECRET = "benchmark-secret-of-32-characters"
ECHO_CLIENTS, ECHO_PAYLOAD = 16, 160
SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS = 10.0
SO_MEMINFO = 55
TOTALS = re.compile(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)")


@dataclass(frozen=True)
class Server:
    """A server under measurement."""

    name: str
    pid: int
    address: tuple[str, int]

    def cpu_seconds(self) -> float:
        """CPU time of all its threads."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def resident_bytes(self) -> int:
        """Memory that is there, shared pages included."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Flood:
    """ChannelData in one direction."""

    flows: int
    burst: int
    """Packets sent of one flow before the next one has its turn."""
    payload: int

    def __str__(self) -> str:
        return f"{self.flows} flows, bursts of {self.burst}, {self.payload} bytes"


FLOODS = [Flood(*shape, payload) for shape in ((16, 8), (256, 1)) for payload in (160, 1200)]


@dataclass(frozen=True)
class Result:
    """One run of one load."""

    packets_per_second: float
    cpu_us_per_packet: float


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
    secrets = directory / "secrets"
    secrets.write_text(SECRET)
    command = [sys.executable, "-m", "callfleet_relay", "--listen", "udp://127.0.0.1:0"]
    command += ["--relay-address", "127.0.0.1", "--secret-file", str(secrets), "--realm", REALM]
    command += ["--allow-peer", "127.0.0.0/8", "--max-allocations-per-user", "10000"]
    command += ["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--termination-grace", "0"]
    command += ["--log-level", "warning", "--dataplane", dataplane]
    with process(command, SERVER_CORE) as started:
        assert started.stdout is not None
        line = json.loads(started.stdout.readline())
        port = int(line["listen"][0].rpartition(":")[2])
        yield Server(dataplane, started.pid, ("127.0.0.1", port))


@contextmanager
def coturn(directory: Path) -> Iterator[Server]:
    """Debian's turnserver with one relay thread."""
    port = free_port()
    command = [program("turnserver"), "-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port)]
    command += ["--use-auth-secret", f"--static-auth-secret={SECRET}", "-r", REALM]
    command += ["--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-tcp", "--no-cli"]
    command += ["-m", "1", "--pidfile", str(directory / "pid"), "--userdb", str(directory / "db")]
    command += ["-l", str(directory / "log"), "--simple-log", "--no-stdout-log"]
    with process(command, SERVER_CORE) as started:
        end = time.monotonic() + START_SECONDS
        while not answers(("127.0.0.1", port)):
            assert time.monotonic() < end, "turnserver does not answer"
        yield Server("coturn", started.pid, ("127.0.0.1", port))


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


def credential() -> Credential:
    username = f"{int(time.time()) + 3600}:bench"
    return Credential(username, rest_password(SECRET.encode(), username))


def arrived(sink: socket.socket) -> int:
    """Datagrams dropped at a full socket that nobody reads: all but the few it holds."""
    return int(struct.unpack("=9I", sink.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[8])


def full_buffers() -> int:
    """Datagrams that a full receive buffer has cost, of every program in this network namespace.

    The relay counts its own as `dropped_packets_total{cause="kernel"}`; the rest are the load's.
    """
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


def flood(load: Flood, server: Server, seconds: float) -> Result:
    """Saturate the server in one direction."""
    with ExitStack() as stack:
        sink = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sink.bind(("127.0.0.1", 0))
        clients, senders = [], []
        for _ in range(load.flows):
            client = stack.enter_context(UdpClient(server.address, credential()))
            assert error_of(client.allocate()) is None
            assert error_of(client.bind(0x4000, sink.getsockname())) is None
            clients.append(client)
            senders.append(client.socket.send)
        packet = struct.pack("!HH", 0x4000, load.payload) + bytes(load.payload)
        burst = range(load.burst)
        before, cpu, start = arrived(sink), server.cpu_seconds(), time.monotonic()
        while (now := time.monotonic()) < start + seconds:
            for send in senders:
                for _ in burst:
                    send(packet)
        packets, used = arrived(sink) - before, server.cpu_seconds() - cpu
        for client in clients:
            client.refresh(0)
    return Result(packets / (now - start), used / packets * 1e6)


def echo(server: Server, messages: int) -> Result:
    """coturn's client against its echo peer: two relayed packets a message."""
    port = free_port()
    peer = [program("turnutils_peer"), "-L", "127.0.0.1", "-p", str(port)]
    client = [
        program("turnutils_uclient"),
        "-c",
        "-m",
        str(ECHO_CLIENTS),
        "-n",
        str(messages),
        "-z",
        "1",
    ]
    client += [
        "-l",
        str(ECHO_PAYLOAD),
        "-e",
        "127.0.0.1",
        "-r",
        str(port),
        "-W",
        SECRET,
        "-u",
        "bench",
    ]
    client += ["-p", str(server.address[1]), server.address[0]]
    with process(peer, LOAD_CORE):
        overflows = full_buffers()
        cpu, start = server.cpu_seconds(), time.monotonic()
        result = subprocess.run(client, capture_output=True, text=True, timeout=60, check=True)
        seconds, used = time.monotonic() - start, server.cpu_seconds() - cpu
    sent, received = (int(count) for count in TOTALS.findall(result.stdout + result.stderr)[-1])
    if sent != received:
        print(
            f"  with {server.name} {sent - received} of {sent} messages were lost; meanwhile "
            f"{full_buffers() - overflows} datagrams found a receiver's buffer full"
        )
    return Result((sent + received) / seconds, used / (sent + received) * 1e6)


def memory(server: Server, allocations: int) -> float:
    """Resident bytes that an idle allocation with a permission and a channel takes."""
    with ExitStack() as stack:
        warm = stack.enter_context(UdpClient(server.address, credential()))
        warm.allocate()
        before = server.resident_bytes()
        for _ in range(allocations):
            client = stack.enter_context(UdpClient(server.address, credential()))
            assert error_of(client.allocate()) is None
            assert error_of(client.bind(0x4000, ("127.0.0.1", 9))) is None
        return (server.resident_bytes() - before) / allocations


def main() -> None:
    """Measure by turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a flood")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--messages", type=int, default=500, help="of each echo client")
    parser.add_argument("--allocations", type=int, default=500, help="held for the memory figure")
    given = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    loads: dict[str, Callable[[Server], Result]] = {
        str(load): partial(_flood_for, load, given.seconds) for load in FLOODS
    }
    loads["echo"] = lambda server: echo(server, given.messages)
    servers: list[Callable[[Path], AbstractContextManager[Server]]] = [
        coturn,
        partial(callfleet, "native"),
        partial(callfleet, "python"),
    ]
    results: dict[tuple[str, str], list[Result]] = {}
    held: dict[str, float] = {}
    for _ in range(given.rounds):
        for name, load in loads.items():
            for start in servers:
                # A new server each time: coturn remembers the 5-tuples of ended allocations.
                with tempfile.TemporaryDirectory() as directory, start(Path(directory)) as server:
                    results.setdefault((name, server.name), []).append(load(server))
    for start in servers:
        with tempfile.TemporaryDirectory() as directory, start(Path(directory)) as server:
            held[server.name] = memory(server, given.allocations)
    print(f"{'load':36} {'server':8} {'packets/s':>22} {'CPU us/packet':>20} {'of coturn':>18}")
    for (name, server_name), runs in sorted(results.items()):
        rate = [run.packets_per_second for run in runs]
        cost = [run.cpu_us_per_packet for run in runs]
        pairs = zip(cost, results[name, "coturn"], strict=True)
        ratio = [each / coturns.cpu_us_per_packet for each, coturns in pairs]
        print(
            f"{name:36} {server_name:8} {spread(rate, 0):>22} {spread(cost, 2):>20} "
            f"{spread(ratio, 2):>18}"
        )
    for server_name, size in held.items():
        print(f"memory {server_name:8} {size / 1024:.1f} KiB an allocation")


def _flood_for(load: Flood, seconds: float, server: Server) -> Result:
    return flood(load, server, seconds)


def spread(values: list[float], digits: int) -> str:
    """Median and ends."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


if __name__ == "__main__":
    main()

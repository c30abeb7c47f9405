"""How much a relayed packet costs, beside coturn's turnserver in the same run.

`python -m tests.bench.relay` takes about a minute and prints a table. Servers run on one core and
what loads them on another, by turns, on loopback. Two loads:

- flood: ChannelData in bursts of 8 over 16 flows as fast as the generator can; the peer's socket is
  never read, the kernel counts what arrives. Packets a second that a saturated core relays.
- echo: coturn's own client and echo peer (`turnutils_uclient`, 16 clients), paced; what it costs
  where a core is not full, both directions.

CPU time is the scheduler's accounting of the server's threads. Loopback charges the receiver's
work to the sender, for both servers alike.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from callfleet_relay.credentials import rest_password
from tests.callfleet_relay.support import REALM, Credential, UdpClient, error_of
from tests.ports import free_port

SECRET = "benchmark-secret-of-32-characters"
FLOWS, BURST, PAYLOAD = 16, 8, 160
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
def callfleet(directory: Path) -> Iterator[Server]:
    """Our relay."""
    secrets = directory / "secrets"
    secrets.write_text(SECRET)
    command = [sys.executable, "-m", "callfleet_relay", "--listen", "udp://127.0.0.1:0"]
    command += ["--relay-address", "127.0.0.1", "--secret-file", str(secrets), "--realm", REALM]
    command += ["--allow-peer", "127.0.0.0/8", "--max-allocations-per-user", "10000"]
    command += ["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--termination-grace", "0"]
    command += ["--log-level", "warning"]
    with process(command, SERVER_CORE) as started:
        assert started.stdout is not None
        line = json.loads(started.stdout.readline())
        port = int(line["listen"][0].rpartition(":")[2])
        yield Server("callfleet-relay", started.pid, ("127.0.0.1", port))


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


def flood(server: Server, seconds: float) -> Result:
    """Saturate the server in one direction."""
    with ExitStack() as stack:
        sink = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sink.bind(("127.0.0.1", 0))
        clients, senders = [], []
        for _ in range(FLOWS):
            client = stack.enter_context(UdpClient(server.address, credential()))
            assert error_of(client.allocate()) is None
            assert error_of(client.bind(0x4000, sink.getsockname())) is None
            clients.append(client)
            senders.append(client.socket.send)
        packet = struct.pack("!HH", 0x4000, PAYLOAD) + bytes(PAYLOAD)
        burst = range(BURST)
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
    client = [program("turnutils_uclient"), "-c", "-m", str(FLOWS), "-n", str(messages), "-z", "1"]
    client += ["-l", str(PAYLOAD), "-e", "127.0.0.1", "-r", str(port), "-W", SECRET, "-u", "bench"]
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
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a flood")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server")
    parser.add_argument("--messages", type=int, default=500, help="of each echo client")
    parser.add_argument("--allocations", type=int, default=500, help="held for the memory figure")
    given = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    loads: dict[str, Callable[[Server], Result]] = {
        "flood": lambda server: flood(server, given.seconds),
        "echo": lambda server: echo(server, given.messages),
    }
    results: dict[tuple[str, str], list[Result]] = {}
    held: dict[str, float] = {}
    for _ in range(given.rounds):
        for start in (coturn, callfleet):
            with tempfile.TemporaryDirectory() as directory, start(Path(directory)) as server:
                for name, load in loads.items():
                    results.setdefault((name, server.name), []).append(load(server))
    for start in (coturn, callfleet):
        with tempfile.TemporaryDirectory() as directory, start(Path(directory)) as server:
            held[server.name] = memory(server, given.allocations)
    print(f"{'load':6} {'server':16} {'packets/s':>22} {'CPU us/packet':>22} {'of coturn':>10}")
    for (name, server_name), runs in sorted(results.items()):
        rate = sorted(run.packets_per_second for run in runs)
        cost = sorted(run.cpu_us_per_packet for run in runs)
        base = statistics.median(run.cpu_us_per_packet for run in results[name, "coturn"])
        print(
            f"{name:6} {server_name:16} {spread(rate, 0):>22} {spread(cost, 2):>22} "
            f"{statistics.median(cost) / base:10.2f}"
        )
    for server_name, size in held.items():
        print(f"memory {server_name:16} {size / 1024:.1f} KiB an allocation")


def spread(values: list[float], digits: int) -> str:
    """Median and ends."""
    low, high = values[0], values[-1]
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


if __name__ == "__main__":
    main()

"""What the servers of `tests.bench.relay` are loaded with, and what it costs them."""

from __future__ import annotations

import re
import resource
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.relay_clients import CHANNEL, Fleet, FleetClient, StreamClient
from tests.bench.relay_servers import HOST, LOAD_CORE, SECRET, Server, process, program
from tests.callfleet_relay.support import error_of, relayed_of
from tests.ports import free_port

LIFETIME_SECONDS = 600.0
"""Of an allocation, within which it has to be refreshed (RFC 8656 section 3.2)."""
IDLE_SECONDS = 10.0
ECHO_CLIENTS, ECHO_PAYLOAD = 16, 160
TOTALS = re.compile(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)")
SO_MEMINFO = 55


@dataclass(frozen=True)
class Result:
    """One run of one load."""

    packets_per_second: float
    cpu_us_per_packet: float


@dataclass(frozen=True)
class Flood:
    """ChannelData of UDP clients, as fast as one thread can send it."""

    flows: int
    burst: int
    """Packets sent of one flow before the next one has its turn."""
    payload: int
    takes_python = True

    def __str__(self) -> str:
        kind = f"in bursts of {self.burst}" if self.burst > 1 else "one by one"
        return f"udp, {self.flows} flows {kind}, {self.payload} bytes"

    def run(self, server: Server, seconds: float) -> Result:
        """From clients to a peer."""
        with ExitStack() as stack:
            sink = stack.enter_context(full_socket())
            senders = []
            for _ in range(self.flows):
                client = FleetClient(server.address)
                stack.callback(client.socket.close)
                assert error_of(client.allocate()) is None
                assert error_of(client.bind(CHANNEL, sink.getsockname())) is None
                senders.append(client.socket.send)
            packet, burst = channel_data(self.payload), range(self.burst)

            def send_round() -> None:
                for send in senders:
                    for _ in burst:
                        send(packet)

            return measured(server, seconds, send_round, lambda: arrived(sink))


@dataclass(frozen=True)
class Stream:
    """ChannelData of 16 clients over TCP or TLS, in bursts of 8; saturated, a burst is a write."""

    transport: str
    payload: int
    to_clients: bool
    """Else to peers."""
    packets_per_second: int
    """0: as fast as it goes."""
    takes_python = False
    flows = 16
    burst = 8

    def __str__(self) -> str:
        way = "to clients" if self.to_clients else "from clients"
        rate = f"{self.packets_per_second:,} a second" if self.packets_per_second else "saturated"
        return f"{self.transport} {way}, {self.payload} bytes, {rate}"

    def run(self, server: Server, seconds: float) -> Result:
        """One way."""
        with ExitStack() as stack:
            sink = stack.enter_context(full_socket())
            clients = [
                stack.enter_context(StreamClient(server, self.transport)) for _ in range(self.flows)
            ]
            relayed = []
            for client in clients:
                relayed += relayed_of(client.allocate())
                assert error_of(client.bind(CHANNEL, sink.getsockname())) is None
            if self.to_clients:
                return self._to_clients(server, seconds, sink, clients, relayed)
            return self._from_clients(server, seconds, sink, clients)

    def _from_clients(
        self, server: Server, seconds: float, sink: socket.socket, clients: list[StreamClient]
    ) -> Result:
        packet = channel_data(self.payload)
        # At a pace as a media client writes: each packet by itself.
        writes = [packet] * self.burst if self.packets_per_second else [packet * self.burst]
        senders = [client.socket.sendall for client in clients]

        def send_round() -> None:
            for send in senders:
                for data in writes:
                    send(data)

        return measured(server, seconds, self._paced(send_round), lambda: arrived(sink))

    def _to_clients(
        self,
        server: Server,
        seconds: float,
        peer: socket.socket,
        clients: list[StreamClient],
        relayed: list[tuple[str, int]],
    ) -> Result:
        payload, buffer, received = bytes(self.payload), bytearray(1 << 18), 0
        for client in clients:
            client.socket.setblocking(False)

        def send_round() -> None:
            nonlocal received
            for client, address in zip(clients, relayed, strict=True):
                for _ in range(self.burst):
                    peer.sendto(payload, address)
                received += client.read_waiting(buffer)

        frame = len(channel_data(self.payload))
        return measured(server, seconds, self._paced(send_round), lambda: received // frame)

    def _paced(self, send_round: Callable[[], None]) -> Callable[[], None]:
        if not self.packets_per_second:
            return send_round
        interval = self.flows * self.burst / self.packets_per_second
        due = time.monotonic()

        def paced() -> None:
            nonlocal due
            due += interval
            time.sleep(max(0.0, due - time.monotonic()))
            send_round()

        return paced


@dataclass(frozen=True)
class Echo:
    """coturn's client against its echo peer: two relayed packets a message, set-up included."""

    messages: int
    """Of each client."""
    takes_python = True

    def __str__(self) -> str:
        return f"coturn's client, {ECHO_CLIENTS} flows paced, {ECHO_PAYLOAD} bytes, set-up included"

    def run(self, server: Server, seconds: float) -> Result:
        """`seconds` does not matter: the client has a pace of its own."""
        port = free_port()
        peer = [program("turnutils_peer"), "-L", HOST, "-p", str(port)]
        client = [program("turnutils_uclient"), "-c", "-m", str(ECHO_CLIENTS), "-z", "1"]
        client += ["-n", str(self.messages), "-l", str(ECHO_PAYLOAD), "-e", HOST, "-r", str(port)]
        client += ["-W", SECRET, "-u", "bench", "-p", str(server.address[1]), HOST]
        with process(peer, LOAD_CORE):
            overflows = full_buffers()
            cpu, start = server.cpu_seconds(), time.monotonic()
            result = subprocess.run(client, capture_output=True, text=True, timeout=60, check=True)
            seconds, used = time.monotonic() - start, server.cpu_seconds() - cpu
        sent, received = (int(each) for each in TOTALS.findall(result.stdout + result.stderr)[-1])
        if sent != received:
            print(
                f"  with {server.name} {sent - received} of {sent} messages were lost; meanwhile "
                f"{full_buffers() - overflows} datagrams found a receiver's buffer full"
            )
        return Result((sent + received) / seconds, used / (sent + received) * 1e6)


@dataclass(frozen=True)
class Held:
    """What allocations cost that carry nothing."""

    allocations: int
    refused: int
    """Error answers to Allocate, ChannelBind and Refresh."""
    unanswered: int
    set_up_per_second: float
    set_up_cpu_us: float
    """Of one allocation, its challenge included."""
    resident_mib: float
    bytes_each: float
    refresh_cpu_us: float
    refresh_core_percent: float
    """Of a core, each refreshed once in its lifetime, what passes without it included."""


def hold(server: Server, count: int) -> Held:
    """So many allocations, each with a permission and a channel."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Fleet(server, 1) as warm:
        warm.allocate()
    before = server.resident_bytes()
    with Fleet(server, count) as fleet:
        cpu, start = server.cpu_seconds(), time.monotonic()
        fleet.allocate()
        seconds, set_up = time.monotonic() - start, server.cpu_seconds() - cpu
        fleet.bind_channels((HOST, 9))
        resident = server.resident_bytes()
        cpu = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        idle = (server.cpu_seconds() - cpu) / IDLE_SECONDS
        cpu = server.cpu_seconds()
        fleet.refresh()
        refresh = server.cpu_seconds() - cpu
    return Held(
        count,
        len(fleet.refused),
        fleet.unanswered,
        count / seconds,
        set_up / count * 1e6,
        resident / (1 << 20),
        (resident - before) / count,
        refresh / count * 1e6,
        100 * (idle + refresh / LIFETIME_SECONDS),
    )


def measured(
    server: Server, seconds: float, send_round: Callable[[], None], count: Callable[[], int]
) -> Result:
    """The cost of what was counted while rounds were sent."""
    before, cpu, start = count(), server.cpu_seconds(), time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        send_round()
    packets, used = count() - before, server.cpu_seconds() - cpu
    return Result(packets / (now - start), used / packets * 1e6)


def channel_data(payload: int) -> bytes:
    """One message, of a length that needs no padding."""
    assert payload % 4 == 0
    return struct.pack("!HH", CHANNEL, payload) + bytes(payload)


@contextmanager
def full_socket() -> Iterator[socket.socket]:
    """A peer that reads nothing: the kernel counts what arrives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sink.bind((HOST, 0))
        yield sink


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

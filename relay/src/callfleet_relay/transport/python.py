"""The data plane in Python: asyncio (or uvloop) readers over non-blocking sockets.

It is the reference for any other plane. A relayed packet costs one receive, one lookup and one
send: no message object, no copy. asyncio would read one datagram a round of the loop; here a
reader takes up to `DRAIN`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from functools import partial

from callfleet_relay.allocation import family_of
from callfleet_relay.events import (
    BindChannel,
    CloseRelay,
    Drop,
    ExpectClient,
    FiveTuple,
    Forbid,
    MoveClient,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import CHANNEL_HEADER_LENGTH, Address, data_indication
from callfleet_relay.peers import Ports
from callfleet_relay.quota import Rates
from callfleet_relay.transport.dataplane import (
    ArrivalReceiver,
    Figures,
    IcmpReceiver,
    Receiver,
    Traffic,
    nobody_arrives,
)
from callfleet_relay.transport.flow import (
    Channel,
    ClientSide,
    Flow,
    Listener,
    RelaySocket,
    SocketAddress,
)
from callfleet_relay.transport.icmp import ask_for_errors, read_errors
from callfleet_relay.transport.udp import (
    LISTENER_BUFFER,
    RELAY_BUFFER,
    bind_udp,
    kernel_drops,
    send_unfragmented,
)

logger = logging.getLogger(__name__)

DRAIN = 32
"""Datagrams read from one socket before others get their turn."""

_HEADER = struct.Struct("!HH")
_MAX_DATAGRAM = 65535
_NO_PORTS: Ports = frozenset()


class PythonDataPlane:
    """See `DataPlane`."""

    name = "python"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[Address],
        *,
        relay_hosts: Sequence[str],
        rates: Rates,
        receiver: Receiver,
        icmp_receiver: IcmpReceiver,
        arrival_receiver: ArrivalReceiver = nobody_arrives,
    ) -> None:
        """`relay_hosts`: one of each family that there is; `rates` may be shared with another
        plane. Raises OSError.
        """
        self._loop = loop
        self._relay_hosts = {family_of(host): host for host in relay_hosts}
        self._rates = rates
        self._receiver = receiver
        self._icmp_receiver = icmp_receiver
        self._arrival_receiver = arrival_receiver
        self._buffer = bytearray(CHANNEL_HEADER_LENGTH + _MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._payload = self._view[CHANNEL_HEADER_LENGTH:]
        self._flows: dict[int, Flow] = {}
        self._closed = Figures()
        self._listeners: list[Listener] = []
        self._client_sides: dict[int, ClientSide] = {}
        try:
            for index, (host, port) in enumerate(listen):
                bound = bind_udp(host, port, LISTENER_BUFFER, LISTENER_BUFFER)
                listener = Listener(index, bound)
                self._listeners.append(listener)
                self._client_sides[index] = listener
        except OSError:
            self.close()
            raise
        for listener in self._listeners:
            loop.add_reader(listener.bound, partial(self._from_clients, listener))

    @property
    def listening(self) -> list[Address]:
        return [listener.bound.getsockname()[:2] for listener in self._listeners]

    def reply(self, event: Reply) -> None:
        clients = self._client_sides[event.five_tuple.listener]
        try:
            clients.send(event.data, event.five_tuple.client)
        except OSError as error:
            self._count_failed_send(error)

    def open_relay(self, event: OpenRelay) -> bool:
        relays = self._bind(event)
        if relays is None:
            return False
        listener = self._client_sides[event.five_tuple.listener]
        client = listener.client(event.five_tuple.client)
        flow = Flow(event.session, listener, client, relays)
        flow.user = event.user
        flow.upstream, flow.downstream = self._rates.open(event.user, time.monotonic())
        self._flows[event.session] = flow
        listener.flows[client] = flow
        for relay in relays.values():
            self._listen_to_peers(flow, relay)
        return True

    def close_relay(self, event: CloseRelay) -> None:
        self._close_relay(self._flows[event.session].relays.pop(event.family))

    def expect_client(self, event: ExpectClient) -> None:
        flow = self._flows[event.session]
        self._expect_nobody(flow)
        listener = self._client_sides[event.five_tuple.listener]
        client = listener.client(event.five_tuple.client)
        flow.expected = listener, client
        listener.expected[client] = flow

    def move_client(self, event: MoveClient) -> None:
        flow = self._flows[event.session]
        self._expect_nobody(flow)
        del flow.listener.flows[flow.client]
        flow.listener = self._client_sides[event.five_tuple.listener]
        flow.client = flow.listener.client(event.five_tuple.client)
        flow.listener.flows[flow.client] = flow

    def permit(self, event: Permit) -> None:
        self._flows[event.session].hosts[event.host] = event.ports

    def forbid(self, event: Forbid) -> None:
        self._flows[event.session].hosts.pop(event.host, None)

    def bind_channel(self, event: BindChannel) -> None:
        flow = self._flows[event.session]
        channel = flow.relay_to(event.peer).channel(event.peer)
        flow.channels[event.number] = channel
        flow.numbers[channel[1]] = event.number

    def unbind_channel(self, event: UnbindChannel) -> None:
        flow = self._flows[event.session]
        bound = flow.channels.pop(event.number, None)
        if bound is not None:
            flow.numbers.pop(bound[1], None)

    def send_to_peer(self, event: SendToPeer) -> None:
        flow = self._flows[event.session]
        size = len(event.data)
        if flow.upstream is not None and not flow.upstream.admits(size, time.monotonic()):
            self._closed.drops[Drop.RATE] += 1
            return
        relay = flow.relay_to(event.peer)
        send, peer = relay.channel(event.peer)
        if event.dont_fragment:
            send = partial(send_unfragmented, relay.bound)
        if not self._sent(flow, event.data, (send, peer)):
            return
        flow.traffic.packets_from_client += 1
        flow.traffic.bytes_from_client += size

    def close_session(self, session: int) -> Traffic:
        flow = self._flows.pop(session)
        self._rates.close(flow.user)
        self._expect_nobody(flow)
        del flow.listener.flows[flow.client]
        for relay in flow.relays.values():
            self._close_relay(relay)
        self._closed.traffic += flow.traffic
        return flow.traffic

    def packets_relayed(self) -> int:
        under_way = sum(flow.traffic.packets for flow in self._flows.values())
        return self._closed.traffic.packets + under_way

    def figures(self) -> Figures:
        for listener in self._listeners:
            self._count_kernel_drops(listener, listener.bound)
        total = Figures()
        total.traffic += self._closed.traffic
        for flow in self._flows.values():
            for relay in flow.relays.values():
                self._count_kernel_drops(relay, relay.bound)
            total.traffic += flow.traffic
        total.drops = dict(self._closed.drops)
        return total

    def close(self) -> None:
        for session in list(self._flows):
            self.close_session(session)
        for listener in self._listeners:
            self._loop.remove_reader(listener.bound)
            listener.bound.close()
        self._listeners.clear()

    def _from_clients(self, listener: Listener) -> None:
        receive, buffer, flows = listener.bound.recvfrom_into, self._buffer, listener.flows
        drops = self._closed.drops
        for _ in range(DRAIN):
            try:
                size, source = receive(buffer)
            except BlockingIOError:
                return
            if size < CHANNEL_HEADER_LENGTH:
                drops[Drop.MALFORMED] += 1
                continue
            if buffer[0] & 0xC0 != 0x40:
                five_tuple = FiveTuple(listener.index, source[:2])
                self._receiver(bytes(self._view[:size]), five_tuple)
                continue
            number, length = _HEADER.unpack_from(buffer)
            flow = flows.get(source) or self._arrived(listener, source)
            channel = flow.channels.get(number) if flow is not None else None
            if flow is None or channel is None:
                drops[Drop.NO_CHANNEL] += 1
            elif CHANNEL_HEADER_LENGTH + length > size:
                drops[Drop.MALFORMED] += 1
            else:
                self._to_peer(flow, self._payload[:length], channel)

    def _arrived(self, listener: Listener, source: SocketAddress) -> Flow | None:
        """The flow whose client was expected here, now that it has come."""
        flow = listener.expected.get(source)
        if flow is not None:
            self._arrival_receiver(flow.session, FiveTuple(listener.index, source[:2]))
        return flow

    @staticmethod
    def _expect_nobody(flow: Flow) -> None:
        if flow.expected is not None:
            listener, client = flow.expected
            del listener.expected[client]
            flow.expected = None

    def _to_peer(self, flow: Flow, payload: memoryview, channel: Channel) -> None:
        size = len(payload)
        if flow.upstream is not None and not flow.upstream.admits(size, time.monotonic()):
            self._closed.drops[Drop.RATE] += 1
            return
        send, peer = channel
        try:
            send(payload, peer)
        except OSError:
            if not self._sent(flow, payload, channel):
                return
        traffic = flow.traffic
        traffic.packets_from_client += 1
        traffic.bytes_from_client += size

    def _sent(self, flow: Flow, data: bytes | memoryview, channel: Channel) -> bool:
        """Send, and once more where an ICMP error about an earlier datagram came in between."""
        send, peer = channel
        for attempt in range(2):
            try:
                send(data, peer)
            except OSError as error:
                self._take_icmp(flow)
                if attempt:
                    self._count_failed_send(error)
            else:
                return True
        return False

    def _take_icmp(self, flow: Flow) -> None:
        """Tell of ICMP errors. A socket that has had one is polled anew: libuv gives it up."""
        for relay in list(flow.relays.values()):
            for error in read_errors(relay.bound):
                self._icmp_receiver(flow.session, error)
            self._loop.remove_reader(relay.bound)
            self._listen_to_peers(flow, relay)

    def _listen_to_peers(self, flow: Flow, relay: RelaySocket) -> None:
        self._loop.add_reader(relay.bound, partial(self._from_peers, flow, relay))

    def _bind(self, event: OpenRelay) -> dict[int, RelaySocket] | None:
        """A socket of each family that is asked for, or none."""
        relays: dict[int, RelaySocket] = {}
        try:
            for family in event.families:
                bound = bind_udp(self._relay_hosts[family], event.port, RELAY_BUFFER)
                relays[family] = self._relay_socket(bound)
                ask_for_errors(bound)
        except OSError as error:
            for relay in relays.values():
                relay.bound.close()
            if error.errno != errno.EADDRINUSE:
                logger.warning("relay socket refused: %s", error, extra={"port": event.port})
            return None
        return relays

    def _relay_socket(self, bound: socket.socket) -> RelaySocket:
        return RelaySocket(bound)

    def _close_relay(self, relay: RelaySocket) -> None:
        self._count_kernel_drops(relay, relay.bound)
        self._loop.remove_reader(relay.bound)
        relay.bound.close()

    def _from_peers(self, flow: Flow, relay: RelaySocket) -> None:
        receive, payload, traffic = relay.bound.recvfrom_into, self._payload, flow.traffic
        for turn in range(DRAIN):
            try:
                size, peer = receive(payload)
            except BlockingIOError:
                if not turn:
                    self._take_icmp(flow)
                return
            except OSError:
                self._take_icmp(flow)
                continue
            number = flow.numbers.get(peer)
            data: memoryview | bytes
            if number is not None:
                _HEADER.pack_into(self._buffer, 0, number, size)
                data = self._view[: CHANNEL_HEADER_LENGTH + size]
            else:
                indication = self._indication(flow, peer, payload[:size])
                if indication is None:
                    continue
                data = indication
            if flow.downstream is not None and not flow.downstream.admits(size, time.monotonic()):
                self._closed.drops[Drop.RATE] += 1
                continue
            try:
                flow.listener.send(data, flow.client)
            except OSError as error:
                self._count_failed_send(error)
                continue
            traffic.packets_to_client += 1
            traffic.bytes_to_client += size

    def _indication(
        self, flow: Flow, peer: SocketAddress, payload: bytes | memoryview
    ) -> bytes | None:
        """What tells the client of a datagram without a channel; None where it is not permitted."""
        ports = flow.hosts.get(peer[0], _NO_PORTS)
        if ports is not None and peer[1] not in ports:
            self._closed.drops[Drop.NO_PERMISSION] += 1
            return None
        return data_indication(peer[:2], payload, secrets.token_bytes(12))

    def _count_failed_send(self, error: OSError) -> None:
        """UDP loses: a datagram that cannot go now is counted and forgotten."""
        cause = Drop.TOO_LONG if error.errno == errno.EMSGSIZE else Drop.KERNEL
        self._closed.drops[cause] += 1

    def _count_kernel_drops(self, owner: Listener | RelaySocket, bound: socket.socket) -> None:
        seen = kernel_drops(bound)
        self._closed.drops[Drop.KERNEL] += (seen - owner.drops_seen) & 0xFFFFFFFF
        owner.drops_seen = seen

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
from typing import Any, Protocol

from callfleet_relay.events import (
    BindChannel,
    Drop,
    FiveTuple,
    Forbid,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import CHANNEL_HEADER_LENGTH, Address, data_indication
from callfleet_relay.peers import Ports
from callfleet_relay.quota import BitRates, RateLimit
from callfleet_relay.transport.dataplane import Figures, Receiver, Traffic
from callfleet_relay.transport.udp import (
    LISTENER_BUFFER,
    RELAY_BUFFER,
    bind_udp,
    kernel_drops,
    send_unfragmented,
    socket_address,
)

logger = logging.getLogger(__name__)

DRAIN = 32
"""Datagrams read from one socket before others get their turn."""

_HEADER = struct.Struct("!HH")
_MAX_DATAGRAM = 65535
_NO_PORTS: Ports = frozenset()
_SocketAddress = Any  # what recvfrom gives: two items for IPv4, four for IPv6; or a connection


class ClientSide(Protocol):
    """Where clients come from, and how they are reached."""

    flows: dict[Any, Flow]
    """By what `client` gives."""

    def client(self, address: Address) -> _SocketAddress:
        """The client of this address, as `send` and `flows` know it."""

    def send(self, data: bytes | memoryview, client: _SocketAddress, /) -> object:
        """Send one message. Raises OSError where it is lost."""


class _Listener:
    """One listening socket and the flows of its clients."""

    __slots__ = ("bound", "drops_seen", "flows", "index", "send")

    def __init__(self, index: int, bound: socket.socket) -> None:
        self.index = index
        self.bound = bound
        self.flows: dict[_SocketAddress, Flow] = {}
        self.drops_seen = 0
        self.send = bound.sendto

    def client(self, address: Address) -> _SocketAddress:
        return socket_address(self.bound.family, address)


class Flow:
    """One session's tables, kept small: there are thousands."""

    __slots__ = (
        "channels",
        "client",
        "downstream",
        "drops_seen",
        "hosts",
        "listener",
        "numbers",
        "relay",
        "traffic",
        "upstream",
        "user",
    )

    def __init__(self, listener: ClientSide, client: _SocketAddress, relay: socket.socket) -> None:
        self.listener = listener
        self.client = client
        self.relay = relay
        self.channels: dict[int, _SocketAddress] = {}
        self.numbers: dict[_SocketAddress, int] = {}
        self.hosts: dict[str, Ports] = {}
        self.traffic = Traffic()
        self.upstream: RateLimit = None
        self.downstream: RateLimit = None
        self.user = ""
        self.drops_seen = 0


class PythonDataPlane:
    """See `DataPlane`."""

    name = "python"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[Address],
        *,
        relay_host: str,
        rates: BitRates,
        receiver: Receiver,
    ) -> None:
        """`rates` may be shared with another plane. Raises OSError."""
        self._loop = loop
        self._relay_host = relay_host
        self._rates = rates
        self._receiver = receiver
        self._buffer = bytearray(CHANNEL_HEADER_LENGTH + _MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._payload = self._view[CHANNEL_HEADER_LENGTH:]
        self._flows: dict[int, Flow] = {}
        self._closed = Figures()
        self._listeners: list[_Listener] = []
        self._client_sides: dict[int, ClientSide] = {}
        try:
            for index, (host, port) in enumerate(listen):
                bound = bind_udp(host, port, LISTENER_BUFFER)
                listener = _Listener(index, bound)
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
        try:
            relay = bind_udp(self._relay_host, event.port, RELAY_BUFFER)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                logger.warning("relay socket refused: %s", error, extra={"port": event.port})
            return False
        listener = self._client_sides[event.five_tuple.listener]
        client = listener.client(event.five_tuple.client)
        flow = Flow(listener, client, relay)
        flow.user = event.user
        flow.upstream, flow.downstream = self._rates.open(event.user, time.monotonic())
        self._flows[event.session] = flow
        listener.flows[client] = flow
        self._loop.add_reader(relay, partial(self._from_peers, flow))
        return True

    def permit(self, event: Permit) -> None:
        self._flows[event.session].hosts[event.host] = event.ports

    def forbid(self, event: Forbid) -> None:
        self._flows[event.session].hosts.pop(event.host, None)

    def bind_channel(self, event: BindChannel) -> None:
        flow = self._flows[event.session]
        peer = socket_address(flow.relay.family, event.peer)
        flow.channels[event.number] = peer
        flow.numbers[peer] = event.number

    def unbind_channel(self, event: UnbindChannel) -> None:
        flow = self._flows[event.session]
        flow.channels.pop(event.number, None)
        flow.numbers.pop(socket_address(flow.relay.family, event.peer), None)

    def send_to_peer(self, event: SendToPeer) -> None:
        flow = self._flows[event.session]
        size = len(event.data)
        if flow.upstream is not None and not flow.upstream.admits(size, time.monotonic()):
            self._closed.drops[Drop.RATE] += 1
            return
        try:
            if event.dont_fragment:
                send_unfragmented(flow.relay, event.data, event.peer)
            else:
                flow.relay.sendto(event.data, event.peer)
        except OSError as error:
            self._count_failed_send(error)
            return
        flow.traffic.packets_from_client += 1
        flow.traffic.bytes_from_client += size

    def close_session(self, session: int) -> Traffic:
        flow = self._flows.pop(session)
        self._rates.close(flow.user)
        del flow.listener.flows[flow.client]
        self._count_kernel_drops(flow, flow.relay)
        self._loop.remove_reader(flow.relay)
        flow.relay.close()
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
            self._count_kernel_drops(flow, flow.relay)
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

    def _from_clients(self, listener: _Listener) -> None:
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
            flow = flows.get(source)
            peer = flow.channels.get(number) if flow is not None else None
            if flow is None or peer is None:
                drops[Drop.NO_CHANNEL] += 1
            elif CHANNEL_HEADER_LENGTH + length > size:
                drops[Drop.MALFORMED] += 1
            else:
                self._to_peer(flow, self._payload[:length], peer)

    def _to_peer(self, flow: Flow, payload: memoryview, peer: _SocketAddress) -> None:
        size = len(payload)
        if flow.upstream is not None and not flow.upstream.admits(size, time.monotonic()):
            self._closed.drops[Drop.RATE] += 1
            return
        try:
            flow.relay.sendto(payload, peer)
        except OSError as error:
            self._count_failed_send(error)
            return
        traffic = flow.traffic
        traffic.packets_from_client += 1
        traffic.bytes_from_client += size

    def _from_peers(self, flow: Flow) -> None:
        receive, payload, traffic = flow.relay.recvfrom_into, self._payload, flow.traffic
        for _ in range(DRAIN):
            try:
                size, peer = receive(payload)
            except BlockingIOError:
                return
            number = flow.numbers.get(peer)
            data: memoryview | bytes
            if number is not None:
                _HEADER.pack_into(self._buffer, 0, number, size)
                data = self._view[: CHANNEL_HEADER_LENGTH + size]
            else:
                ports = flow.hosts.get(peer[0], _NO_PORTS)
                if ports is not None and peer[1] not in ports:
                    self._closed.drops[Drop.NO_PERMISSION] += 1
                    continue
                data = data_indication(peer[:2], payload[:size], secrets.token_bytes(12))
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

    def _count_failed_send(self, error: OSError) -> None:
        """UDP loses: a datagram that cannot go now is counted and forgotten."""
        cause = Drop.TOO_LONG if error.errno == errno.EMSGSIZE else Drop.KERNEL
        self._closed.drops[cause] += 1

    def _count_kernel_drops(self, owner: _Listener | Flow, bound: socket.socket) -> None:
        seen = kernel_drops(bound)
        self._closed.drops[Drop.KERNEL] += (seen - owner.drops_seen) & 0xFFFFFFFF
        owner.drops_seen = seen

"""The data plane of TCP and TLS clients, with the datagrams of its sessions in Rust.

Connections, TLS and framing are those of `StreamDataPlane`, which is the reference. What one read
brings goes to peers in one call, and what peers have sent comes framed, many datagrams a call. All
that is out of the ordinary takes the way of the reference: a session with a bit rate, a frame that
could not leave, a datagram of a peer without a channel.

As the threads of the native plane do, the loop naps before it reads where it had something to relay
just before: what comes meanwhile is taken at one go.
"""

from __future__ import annotations

import socket
import time
from functools import cached_property

from callfleet_relay import _native
from callfleet_relay.events import BindChannel, Drop, UnbindChannel
from callfleet_relay.transport.connection import Connection
from callfleet_relay.transport.flow import Flow, RelaySocket
from callfleet_relay.transport.native import read_address, write_address
from callfleet_relay.transport.stream import StreamDataPlane
from callfleet_relay.transport.udp import socket_address

BUSY_SECONDS = 100e-6
"""Who relays again so soon will soon have more to relay."""
NAP_SECONDS = 50e-6
"""How long that is waited for; the system adds its timer slack, 50 microseconds."""


class NativeRelaySocket(RelaySocket):
    """One relayed address of a session, and the extension's end of it."""

    __slots__ = ("native",)

    def __init__(self, bound: socket.socket) -> None:
        """Raises OSError."""
        super().__init__(bound)
        self.native = _native.StreamRelay(bound.fileno())


def _native_of(relay: RelaySocket) -> _native.StreamRelay:
    if not isinstance(relay, NativeRelaySocket):
        raise TypeError("a relay socket that this plane has not made")
    return relay.native


class NativeStreamDataPlane(StreamDataPlane):
    """See `DataPlane`."""

    _relays = False
    """In this round of the loop."""
    _relayed_until = 0.0
    """End of the last round that did, by the monotonic clock."""

    @cached_property
    def _batches(self) -> _native.StreamBatches:
        """Room that all relay sockets use by turns."""
        return _native.StreamBatches()

    def bind_channel(self, event: BindChannel) -> None:
        super().bind_channel(event)
        relay = self._flows[event.session].relay_to(event.peer)
        _native_of(relay).bind_channel(event.number, write_address(event.peer))

    def unbind_channel(self, event: UnbindChannel) -> None:
        super().unbind_channel(event)
        for relay in self._flows[event.session].relays.values():
            _native_of(relay).unbind_channel(event.number)

    def _relay_socket(self, bound: socket.socket) -> RelaySocket:
        return NativeRelaySocket(bound)

    def _close_relay(self, relay: RelaySocket) -> None:
        super()._close_relay(relay)
        if isinstance(relay, NativeRelaySocket):
            del relay.native  # and with it its duplicate of the socket

    def _nap(self) -> None:
        """Once a round, before it relays."""
        if self._relays:
            return
        self._relays = True
        self._loop.call_soon(self._end_round)
        if time.monotonic() - self._relayed_until < BUSY_SECONDS:
            time.sleep(NAP_SECONDS)

    def _end_round(self) -> None:
        self._relays = False
        self._relayed_until = time.monotonic()

    def _read(self, connection: Connection) -> None:
        self._nap()
        super()._read(connection)

    def _take_frames(self, connection: Connection, end: int) -> int:
        position = 0
        while not (connection.ended or connection.peer):
            flow = connection.flow
            if flow is not None and flow.upstream is None:
                position = self._relay_frames(flow, position, end)
            size = self._take_frame(connection, position, end)
            if not size:
                break
            position += size
        return position

    def _relay_frames(self, flow: Flow, position: int, end: int) -> int:
        """Relay the data that comes next; where something else begins."""
        for relay in tuple(flow.relays.values()):
            data = bytes(self._input_view[position:end])
            taken, packets, size, failed = self._batches.send(_native_of(relay), data)
            flow.traffic.packets_from_client += packets
            flow.traffic.bytes_from_client += size
            for number, start, stop in failed:
                self._to_peer(flow, memoryview(data)[start:stop], flow.channels[number])
            position += taken
        return position

    def _from_peers(self, flow: Flow, relay: RelaySocket) -> None:
        self._nap()
        try:
            received = self._batches.receive(_native_of(relay))
        except OSError:
            received = None
        if received is None:  # what made it readable was an error
            self._take_icmp(flow)
            return
        frames, ends, others = received
        if frames:
            self._frames_to_client(flow, frames, ends)
        for peer, data in others:
            source = socket_address(relay.bound.family, read_address(peer))
            indication = self._indication(flow, source, data)
            if indication is not None:
                self._to_client(flow, indication, len(data))

    def _frames_to_client(self, flow: Flow, frames: bytes, ends: list[tuple[int, int]]) -> None:
        connection: Connection = flow.client
        if flow.downstream is None and connection.has_room(len(frames)):
            connection.queue_frames(frames, ends)
            self.write_soon(connection)
            flow.traffic.packets_to_client += len(ends)
            flow.traffic.bytes_to_client += sum(size for _, size in ends)
            return
        view, start = memoryview(frames), 0
        for end, size in ends:
            self._to_client(flow, view[start:end], size)
            start = end

    def _to_client(self, flow: Flow, frame: bytes | memoryview, size: int) -> None:
        if flow.downstream is not None and not flow.downstream.admits(size, time.monotonic()):
            self._closed.drops[Drop.RATE] += 1
            return
        try:
            flow.listener.send(frame, flow.client)
        except OSError as error:
            self._count_failed_send(error)
            return
        flow.traffic.packets_to_client += 1
        flow.traffic.bytes_to_client += size

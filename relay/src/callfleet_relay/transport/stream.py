"""The data plane of TCP and TLS clients; what it relays to is UDP, as everywhere.

What is to be sent to a client in one round of the loop leaves in one write. What a client sends is
read into one buffer for all and relayed from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from callfleet_relay.events import (
    BindPeer,
    ClosePeer,
    CloseRelay,
    Drop,
    FiveTuple,
    OpenRelay,
    Reply,
    SessionEnd,
)
from callfleet_relay.message import CHANNEL_HEADER_LENGTH, Address
from callfleet_relay.quota import Rates
from callfleet_relay.transport.connection import Connection, SlowReaderError
from callfleet_relay.transport.connections import (
    ConnectionEnd,
    StreamFigures,
    StreamLimits,
    TrustedProxies,
    session_end,
)
from callfleet_relay.transport.dataplane import IcmpReceiver, Receiver, Traffic
from callfleet_relay.transport.flow import Flow, RelaySocket
from callfleet_relay.transport.framing import (
    MAX_FRAME,
    MAX_FRAME_WITHOUT_ALLOCATION,
    FramingError,
    frame_length,
)
from callfleet_relay.transport.peer_stream import STALLED_SECONDS
from callfleet_relay.transport.peer_streams import PeerReceiver, PeerStreams
from callfleet_relay.transport.proxy_protocol import SIGNATURE
from callfleet_relay.transport.python import PythonDataPlane
from callfleet_relay.transport.reception import Reception, StreamListener
from callfleet_relay.transport.tls import Certificate, TlsLayer

SLOW_READER_SECONDS = 10.0
"""How long nothing may leave for a client that something waits for."""
READ_BYTES = 32 << 10
"""Read from one connection before others get their turn. OpenSSL's buffer of what came grows as
far as this and never shrinks."""

Gone = Callable[[FiveTuple, SessionEnd], None]


class _Clients:
    """The clients of one listener: `ClientSide` of the flows."""

    def __init__(self, plane: StreamDataPlane, listener: int) -> None:
        self.flows: dict[Connection, Flow] = {}
        self.expected: dict[Connection, Flow] = {}
        self._plane = plane
        self._listener = listener

    def client(self, address: Address) -> Connection:
        return self._plane.reception.by_five_tuple[FiveTuple(self._listener, address)]

    def send(self, data: bytes | memoryview, client: Connection, /) -> None:
        client.queue_data(data)
        if not client.is_queued:
            self._plane.write_soon(client)


class StreamDataPlane(PythonDataPlane):
    """See `DataPlane`. `gone` is told of sessions whose connection has ended, and why."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[StreamListener],
        *,
        relay_hosts: Sequence[str],
        rates: Rates,
        receiver: Receiver,
        icmp_receiver: IcmpReceiver,
        gone: Gone,
        limits: StreamLimits,
        proxies: TrustedProxies,
        certificate: Certificate | None,
        peer_receiver: PeerReceiver,
    ) -> None:
        """`certificate`: for the TLS listeners. Raises OSError."""
        super().__init__(
            loop,
            (),
            relay_hosts=relay_hosts,
            rates=rates,
            receiver=receiver,
            icmp_receiver=icmp_receiver,
        )
        self.peers = PeerStreams(loop, self, self._relay_hosts, peer_receiver)
        self._gone = gone
        self._input = bytearray(2 * MAX_FRAME)
        self._input_view = memoryview(self._input)
        self._queued: list[Connection] = []
        for listener in listen:
            self._client_sides[listener.index] = _Clients(self, listener.index)
        self.reception = Reception(
            loop, listen, limits=limits, proxies=proxies, certificate=certificate, host=self
        )

    @property
    def listening(self) -> list[Address]:
        return self.reception.listening

    def stream_figures(self) -> StreamFigures:
        """Totals up to now."""
        return self.reception.figures()

    def reply(self, event: Reply) -> None:
        connection = self.reception.by_five_tuple.get(event.five_tuple)
        if connection is None:
            return  # nobody is there to hear it
        try:
            connection.queue_reply(event.data)
        except OSError as error:
            self._count_failed_send(error)
        if not connection.is_queued:
            self.write_soon(connection)

    def open_relay(self, event: OpenRelay) -> bool:
        if not super().open_relay(event):
            return False
        flow = self._flows[event.session]
        connection: Connection = flow.client
        connection.flow = flow
        self.reception.spare(connection, ConnectionEnd.IDLE)
        if event.tcp:
            self.peers.open(event, flow)
        return True

    def close_relay(self, event: CloseRelay) -> None:
        if self._flows[event.session].relays:
            super().close_relay(event)
        else:
            self.peers.close_family(event.session, event.family)

    def bind_peer(self, event: BindPeer) -> None:
        """See `BindPeer`."""
        connection = self.reception.by_five_tuple[event.five_tuple]
        self.reception.spare(connection, ConnectionEnd.IDLE)
        self.peers.attach(event.session, event.connection, connection)

    def close_peer(self, event: ClosePeer) -> None:
        """See `ClosePeer`."""
        self.peers.close(event.session, event.connection)

    def close_session(self, session: int) -> Traffic:
        self.peers.close_session(session)
        connection: Connection = self._flows[session].client
        connection.flow = None
        if not connection.ended:
            self.reception.await_allocation(connection)
        return super().close_session(session)

    def close(self) -> None:
        self._write_queued()
        self.reception.close()
        super().close()

    def established(self, connection: Connection) -> None:
        """See `Host`."""
        self._loop.add_reader(connection.number, self._read, connection)

    def ended(self, connection: Connection, cause: ConnectionEnd) -> None:
        """See `Host`."""
        if connection.peer is not None:
            connection.peer.client_gone()
        if connection.flow is not None:
            self._gone(connection.five_tuple, session_end(cause))

    def write_soon(self, connection: Connection) -> None:
        """Send what has been queued, once everything of this round has been."""
        if connection.is_queued:
            return
        if not self._queued:
            self._loop.call_soon(self._write_queued)
        connection.is_queued = True
        self._queued.append(connection)

    def read_client(self, connection: Connection) -> None:
        """See `ClientEnds`."""
        if connection.is_spared and not connection.ended:
            connection.is_spared = False
            self._loop.add_reader(connection.number, self._read, connection)

    def spare_client(self, connection: Connection) -> None:
        """See `ClientEnds`."""
        if not (connection.is_spared or connection.ended):
            connection.is_spared = True
            self._loop.remove_reader(connection.number)

    def end_client(self, connection: Connection, *, stalled: bool) -> None:
        """See `ClientHost`."""
        cause = ConnectionEnd.SLOW_PEER if stalled else ConnectionEnd.PEER_CLOSED
        self.reception.end(connection, cause)

    def _bind(self, event: OpenRelay) -> dict[int, RelaySocket] | None:
        if not event.tcp:
            return super()._bind(event)
        return {} if self.peers.bind(event) else None

    def _read(self, connection: Connection) -> None:
        if connection.tls is not None:
            self._read_tls(connection, connection.tls)
            return
        start = self._bring_partial(connection)
        size = self._receive_into(connection, self._input_view[start : start + READ_BYTES])
        if size:
            self._take(connection, start + size)

    def _read_tls(self, connection: Connection, tls: TlsLayer) -> None:
        size = self._receive_into(connection, self._input_view[:READ_BYTES])
        if not size:
            return
        tls.receive(self._input_view[:size])
        try:
            if not tls.is_established:
                self._handshake(connection, tls)
            while tls.is_established and not connection.ended:
                if not self._take_records(connection, tls):
                    break
        except OSError as error:
            self.reception.end(connection, ConnectionEnd.TLS, error)
        if tls.pending and not connection.is_queued:
            self.write_soon(connection)  # what TLS itself has to say, such as its handshake

    def _take_records(self, connection: Connection, tls: TlsLayer) -> bool:
        """Handle what the records that came hold; whether there may be more of them."""
        start = end = self._bring_partial(connection)
        read: int | None = None
        try:
            while end < len(self._input) and (read := tls.read_into(self._input_view[end:])):
                end += read
        finally:  # what came before a broken record counts
            if end > start:
                self._take(connection, end)
        if read == 0:
            self.reception.end(connection, ConnectionEnd.CLOSED)
        return bool(read)

    def _handshake(self, connection: Connection, tls: TlsLayer) -> None:
        tls.handshake()
        if tls.is_established:
            self.reception.spare(connection, ConnectionEnd.TLS)
            self.reception.await_allocation(connection)

    def _bring_partial(self, connection: Connection) -> int:
        """Put what waits for its end where it is read on; its length."""
        length = len(connection.partial)
        self._input_view[:length] = connection.partial
        return length

    def _receive_into(self, connection: Connection, buffer: memoryview) -> int:
        """Bytes that came; none where none did, or the connection has ended."""
        try:
            size = connection.socket.recv_into(buffer)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.reception.end(connection, ConnectionEnd.RESET, error)
            return 0
        if not size:
            self.reception.end(connection, ConnectionEnd.CLOSED)
        return size

    def _take(self, connection: Connection, end: int) -> None:
        if connection.peer is not None:
            connection.peer.from_client(self._input_view[:end])
            return
        try:
            position = self._take_frames(connection, end)
        except FramingError as error:
            self._refuse(connection, end, error)
            return
        rest = self._input_view[position:end]
        if connection.peer is None:
            connection.partial = bytes(rest)
        elif rest:
            connection.peer.from_client(rest)

    def _take_frames(self, connection: Connection, end: int) -> int:
        """Handle every whole frame up to `end`; where the first unfinished one begins."""
        position = 0
        while not (connection.ended or connection.peer):
            size = self._take_frame(connection, position, end)
            if not size:
                break
            position += size
        return position

    def _take_frame(self, connection: Connection, position: int, end: int) -> int:
        """Handle the frame at `position`; its length, 0 where it is not all there."""
        data, view, flow = self._input, self._input_view, connection.flow
        limit = MAX_FRAME_WITHOUT_ALLOCATION if flow is None else MAX_FRAME
        size = frame_length(data, position, end, limit)
        if not size or position + size > end:
            return 0
        if data[position] & 0xC0:
            number = int.from_bytes(view[position : position + 2], "big")
            length = int.from_bytes(view[position + 2 : position + 4], "big")
            channel = flow.channels.get(number) if flow is not None else None
            if flow is None or channel is None:
                self._closed.drops[Drop.NO_CHANNEL] += 1
            else:
                start = position + CHANNEL_HEADER_LENGTH
                self._to_peer(flow, view[start : start + length], channel)
        else:
            self._receiver(bytes(view[position : position + size]), connection.five_tuple)
        return size

    def _refuse(self, connection: Connection, end: int, error: FramingError) -> None:
        """Nothing more can be read from a stream that has lost its framing."""
        self._closed.drops[Drop.MALFORMED] += 1
        cause = ConnectionEnd.MALFORMED
        if self._input.startswith(SIGNATURE[:4], 0, end):
            cause = ConnectionEnd.PROXY_HEADER
        self.reception.end(connection, cause, error)

    def _write_queued(self) -> None:
        queued, self._queued = self._queued, []
        for connection in queued:
            connection.is_queued = False
            self._write(connection)

    def _write(self, connection: Connection) -> None:
        if connection.ended:
            return
        try:
            sent = connection.write()
        except OSError as error:
            self.reception.end(connection, ConnectionEnd.RESET, error)
            return
        if connection.peer is not None:
            connection.peer.client_took(connection)
        if not connection.out:
            if connection.is_blocked:
                connection.is_blocked = False
                self._loop.remove_writer(connection.number)
                self.reception.spare(connection, ConnectionEnd.SLOW_READER)
        elif connection.reads_nothing:
            self.reception.end(connection, ConnectionEnd.SLOW_READER)
        elif sent or not connection.is_blocked:
            self._await_writable(connection)

    def _await_writable(self, connection: Connection) -> None:
        """Until the client takes more, and not for ever."""
        seconds = SLOW_READER_SECONDS if connection.peer is None else STALLED_SECONDS
        self.reception.end_within(connection, seconds, ConnectionEnd.SLOW_READER)
        if not connection.is_blocked:
            connection.is_blocked = True
            self._loop.add_writer(connection.number, self._write, connection)

    def _count_failed_send(self, error: OSError) -> None:
        if isinstance(error, SlowReaderError):
            self._closed.drops[Drop.SLOW_READER] += 1
        else:
            super()._count_failed_send(error)

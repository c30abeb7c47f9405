"""One TCP or TLS connection of a client: what waits to be sent, and what was read but half.

TLS is a layer between two buffers here, not on the socket: many records are read, and written, by
one system call, where OpenSSL on a socket takes two to read a record and one to write it. Each
frame is a record of its own: some clients, coturn's among them, take a record for one message.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Protocol

from callfleet_relay.events import FiveTuple
from callfleet_relay.message import Address
from callfleet_relay.transport.flow import Flow
from callfleet_relay.transport.tls import TlsLayer

MAX_QUEUED = 128 << 10
"""Bytes of data that may wait for a client. Half a second of 2 Mbit/s: what waits longer is of no
use to a call."""
MAX_QUEUED_REPLIES = 32 << 10
"""Bytes of answers that may wait, on top of the data: who reads none is not there any more."""

_PADDING = (b"", b"\0", b"\0\0", b"\0\0\0")


class PeerEnd(Protocol):
    """A connection with a peer, from the side of the client's."""

    def from_client(self, data: memoryview) -> None:
        """Send to the peer what its client has sent."""

    def client_took(self, connection: Connection) -> None:
        """The client has been sent something: see whether there is room for more."""

    def client_gone(self) -> None:
        """The client's connection has ended."""


class SlowReaderError(OSError):
    """More waits for a client than is allowed: this is dropped."""


class Connection:
    """A client's connection, from accept to close."""

    __slots__ = (
        "client",
        "counted_host",
        "ended",
        "five_tuple",
        "flow",
        "is_blocked",
        "is_queued",
        "is_spared",
        "listener",
        "number",
        "out",
        "partial",
        "peer",
        "socket",
        "source",
        "tls",
    )

    def __init__(self, accepted: socket.socket, source: Address, listener: int) -> None:
        self.socket = accepted
        self.number = accepted.fileno()
        self.listener = listener
        self.source = source
        """Where it comes from: a client or a load balancer."""
        self.client = source
        """Whose it is."""
        self.counted_host: str | None = None
        """By which it is counted, once it is known whose it is."""
        self.five_tuple = FiveTuple(listener, source)
        self.tls: TlsLayer | None = None
        self.flow: Flow | None = None
        """The session that it carries."""
        self.peer: PeerEnd | None = None
        """The connection with a peer that it carries, as it is (RFC 6062)."""
        self.is_spared = False
        """Nothing is read from it for now."""
        self.partial = b""
        """The beginning of a frame whose end has not come yet."""
        self.out = bytearray()
        self.is_queued = False
        """Something is to be sent at the end of this round."""
        self.is_blocked = False
        """It is waited for until the client takes more."""
        self.ended = False

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        return len(self.out) + (self.tls.pending if self.tls is not None else 0)

    def queue_data(self, data: bytes | memoryview) -> None:
        """Send one frame, padded, after what waits already. Raises `SlowReaderError`."""
        if self.waiting > MAX_QUEUED:
            raise SlowReaderError("the client does not read")
        self._append(data)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes of data may wait as well."""
        return self.waiting + size <= MAX_QUEUED

    def queue_frames(self, frames: bytes, ends: list[tuple[int, int]]) -> None:
        """Send padded frames, which there is room for; `ends` has where each ends, first."""
        if self.tls is None:
            self.out += frames
        else:
            self.tls.write_frames(frames, ends)

    def queue_reply(self, data: bytes) -> None:
        """As `queue_data`, for an answer: there is room for these when there is none for data."""
        self._append(data)

    def queue_raw(self, data: bytes) -> None:
        """Send bytes as they are; who sends them waits while there is no room."""
        if self.tls is None:
            self.out += data
        else:
            self.tls.write(data)

    @property
    def reads_nothing(self) -> bool:
        """Whether so much waits that its client cannot be there any more."""
        if self.peer is not None:
            return False
        limit = MAX_QUEUED_REPLIES if self.flow is None else MAX_QUEUED + MAX_QUEUED_REPLIES
        return self.waiting > limit

    def write(self) -> int:
        """Send what can go now; bytes sent. Raises OSError where the connection is broken."""
        if self.tls is not None:
            self.out += self.tls.take_outgoing()
        if not self.out:
            return 0
        try:
            sent = self.socket.send(self.out)
        except BlockingIOError:
            return 0
        del self.out[:sent]
        return sent

    def close(self) -> None:
        """Close the socket, with TLS's word of goodbye if it can be said."""
        self.ended = True
        if self.tls is not None:
            self.tls.say_goodbye()
        with suppress(OSError):
            self.write()  # nobody may be there any more
        self.socket.close()

    def _append(self, data: bytes | memoryview) -> None:
        padding = _PADDING[-len(data) & 3]
        if self.tls is None:
            self.out += data
            self.out += padding
        else:
            self.tls.write(b"".join((data, padding)) if padding else data)

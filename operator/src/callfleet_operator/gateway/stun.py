"""Whether a TURN server answers, as a client would first find out: by a STUN Binding request.

Source: RFC 8489, sections 5 (message structure), 6.2.2 (TCP, TLS), 6.3 (Binding); RFC 7065 (URIs).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Final

_MAGIC: Final = 0x2112A442
_REQUEST: Final = 0x0001
_SUCCESS: Final = 0x0101
_HEADER_LENGTH: Final = 20
_RETRANSMIT: Final = 0.5
"""Seconds; the initial RTO of RFC 8489, section 6.2.1."""


class NoAnswerError(Exception):
    """The server did not answer; the message says what is known of it."""


@dataclass(frozen=True, slots=True)
class TurnServer:
    """Where a TURN URI leads."""

    host: str
    port: int
    transport: str
    """UDP, TCP or TLS."""

    @classmethod
    def of(cls, uri: str) -> TurnServer:
        """Read a URI as the operator hands it out, with a port. Raises ValueError."""
        found = _URI.fullmatch(uri)
        if found is None:
            raise ValueError(f"{uri!r} is no TURN URI with a port")
        scheme, host, port, transport = found.groups()
        if scheme == "turns":
            transport = "tls"
        return cls(host.strip("[]"), int(port), (transport or "udp").upper())


_URI: Final = re.compile(r"(turns?):(\[[^]]+\]|[^:?]+):(\d{1,5})(?:\?transport=(udp|tcp))?")


async def binding(server: TurnServer, within: float) -> float:
    """Seconds until the server answered, connection and retransmissions included.

    A certificate is checked as a browser does. Raises NoAnswerError.
    """
    transaction = secrets.token_bytes(12)
    began = time.monotonic()
    try:
        async with asyncio.timeout(within):
            if server.transport == "UDP":
                await _ask_datagram(server, transaction)
            else:
                await _ask_stream(server, transaction)
    except ssl.SSLError as refused:
        raise NoAnswerError(f"TLS: {refused.reason or refused}") from refused
    except TimeoutError as late:
        raise NoAnswerError(f"no answer within {within:g} s") from late
    except socket.gaierror as unknown:
        raise NoAnswerError(f"{server.host} is not known here: {unknown.strerror}") from unknown
    except OSError as refused:
        raise NoAnswerError(refused.strerror or str(refused)) from refused
    return time.monotonic() - began


async def _ask_datagram(server: TurnServer, transaction: bytes) -> None:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Client(transaction), remote_addr=(server.host, server.port)
    )
    try:
        while not protocol.answered.done():
            transport.sendto(_request(transaction))
            await asyncio.wait([protocol.answered], timeout=_RETRANSMIT)
        await protocol.answered
    finally:
        transport.close()


async def _ask_stream(server: TurnServer, transaction: bytes) -> None:
    tls = ssl.create_default_context() if server.transport == "TLS" else None
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=tls)
    try:
        writer.write(_request(transaction))
        try:
            header = await reader.readexactly(_HEADER_LENGTH)
        except asyncio.IncompleteReadError as closed:
            raise NoAnswerError("it closed the connection") from closed
        if not _is_answer(header, transaction):
            raise NoAnswerError("it answered something else than STUN")
    finally:
        writer.transport.abort()


def _request(transaction: bytes) -> bytes:
    return struct.pack("!HHI", _REQUEST, 0, _MAGIC) + transaction


def _is_answer(data: bytes, transaction: bytes) -> bool:
    if len(data) < _HEADER_LENGTH:
        return False
    kind, _, magic = struct.unpack_from("!HHI", data)
    # Another cookie, another transaction: not the answer to this request.
    return bool(kind == _SUCCESS and magic == _MAGIC and data[8:20] == transaction)


class _Client(asyncio.DatagramProtocol):
    def __init__(self, transaction: bytes) -> None:
        self._transaction = transaction
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  # asyncio's
        if not self.answered.done() and _is_answer(data, self._transaction):
            self.answered.set_result(None)

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)

"""Whether a TURN server answers, as a client would first find out: a STUN Binding request over UDP.

Source: RFC 8489, sections 5 (message structure) and 6.3 (Binding).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time
from typing import Final

_MAGIC: Final = 0x2112A442
_REQUEST: Final = 0x0001
_SUCCESS: Final = 0x0101
_RETRANSMIT: Final = 0.5
"""Seconds; the initial RTO of RFC 8489, section 6.2.1."""


class NoAnswerError(Exception):
    """The server did not answer; the message says what is known of it."""


async def binding(host: str, port: int, within: float) -> float:
    """Seconds until the server answered, retransmissions included; raises NoAnswerError."""
    loop = asyncio.get_running_loop()
    transaction = secrets.token_bytes(12)
    request = struct.pack("!HHI", _REQUEST, 0, _MAGIC) + transaction
    began = time.monotonic()
    try:
        async with asyncio.timeout(within):
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: _Client(transaction), remote_addr=(host, port)
            )
            try:
                while not protocol.answered.done():
                    transport.sendto(request)
                    await asyncio.wait([protocol.answered], timeout=_RETRANSMIT)
                await protocol.answered
            finally:
                transport.close()
    except TimeoutError as late:
        raise NoAnswerError(f"no answer within {within:g} s") from late
    except socket.gaierror as unknown:
        raise NoAnswerError(f"{host} is not known here: {unknown.strerror}") from unknown
    except OSError as refused:
        raise NoAnswerError(refused.strerror or str(refused)) from refused
    return time.monotonic() - began


class _Client(asyncio.DatagramProtocol):
    def __init__(self, transaction: bytes) -> None:
        self._expected = struct.pack("!I", _MAGIC) + transaction
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  # asyncio's
        if len(data) < 20 or self.answered.done():
            return
        (kind,) = struct.unpack_from("!H", data)
        # Another length, another transaction: not the answer to this request.
        if kind == _SUCCESS and data[4:20] == self._expected:
            self.answered.set_result(None)

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)

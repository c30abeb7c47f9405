"""SRTP in one buffer for all transports of the process, on libsrtp as pylibsrtp binds it.

pylibsrtp's own `Session` allocates for each packet and takes none over 1,356 bytes. All that leans
on its insides stands here; `test_srtp.py` compares with what it does itself. The buffer belongs to
the event loop's thread: what is protected is sent, and what is unprotected is copied, before
anything else uses it.
"""

from __future__ import annotations

from collections.abc import Callable

import pylibsrtp
from pylibsrtp._binding import ffi, lib

MAX_DATAGRAM = 1500
_TRAILER = 144
"""The most that protection adds (SRTP_MAX_TRAILER_LEN, and SRTCP's index of four bytes)."""

_packet = ffi.new("unsigned char[]", MAX_DATAGRAM + _TRAILER + 4)
_bytes = ffi.buffer(_packet)
_view = memoryview(_bytes)
_length = ffi.new("int *")

_protect, _protect_rtcp = lib.srtp_protect, lib.srtp_protect_rtcp
_unprotect, _unprotect_rtcp = lib.srtp_unprotect, lib.srtp_unprotect_rtcp

Send = Callable[[memoryview], bool]


class Outgoing:
    """Protects and sends by `send`, which keeps nothing of what it is given."""

    __slots__ = ("_send", "_session", "_srtp")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._session: pylibsrtp.Session | None = None
        self._srtp: object = None

    def use(self, session: pylibsrtp.Session) -> None:
        """There are keys."""
        self._session = session  # owns what `_srtp` points to
        self._srtp = session._srtp[0]  # noqa: SLF001 (a seam)

    def rtp(self, packet: bytes) -> bool:
        """Send an RTP packet of at most 1500 bytes; False without keys or an address."""
        if self._srtp is None:
            return False
        size = len(packet)
        _bytes[0:size] = packet
        _length[0] = size
        return not _protect(self._srtp, _packet, _length) and self._send(_view[: _length[0]])

    def rtcp(self, packet: bytes) -> bool:
        """The same of a compound RTCP packet."""
        if self._srtp is None:
            return False
        size = len(packet)
        _bytes[0:size] = packet
        _length[0] = size
        return not _protect_rtcp(self._srtp, _packet, _length) and self._send(_view[: _length[0]])


class Incoming:
    """Unprotects with a session."""

    __slots__ = ("_session", "_srtp")

    def __init__(self, session: pylibsrtp.Session) -> None:
        self._session = session  # owns what `_srtp` points to
        self._srtp = session._srtp[0]  # noqa: SLF001 (a seam)

    def rtp(self, packet: bytes) -> bytes | None:
        """The RTP packet of a datagram; None if it is forged, replayed or damaged."""
        size = len(packet)
        _bytes[0:size] = packet
        _length[0] = size
        if _unprotect(self._srtp, _packet, _length):
            return None
        plain: bytes = _bytes[0 : _length[0]]
        return plain

    def rtcp(self, packet: bytes) -> bytes | None:
        """The same of a compound RTCP packet."""
        size = len(packet)
        _bytes[0:size] = packet
        _length[0] = size
        if _unprotect_rtcp(self._srtp, _packet, _length):
            return None
        plain: bytes = _bytes[0 : _length[0]]
        return plain

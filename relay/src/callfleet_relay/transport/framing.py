"""Where one message ends and the next begins in a stream: TURN over TCP and TLS.

A STUN message says its length (RFC 8489 section 6.2.2). ChannelData does too, and is padded to a
multiple of four bytes, which its length field does not count (RFC 8656 section 12.5). Nothing
marks a beginning: after one wrong byte the rest of a stream has no meaning.
"""

from __future__ import annotations

import struct

from aioice.stun import COOKIE, HEADER_LENGTH

from callfleet_relay.message import CHANNEL_HEADER_LENGTH

MAX_FRAME = HEADER_LENGTH + 0xFFFC
"""Bytes of the longest STUN message; ChannelData is shorter."""
MAX_FRAME_WITHOUT_ALLOCATION = 2048
"""Bytes of the longest message taken from who has no allocation yet: an Allocate has 500."""

_HEADER = struct.Struct("!HH")
_COOKIE = struct.Struct("!I")
_COOKIE_END = 8


class FramingError(ValueError):
    """The stream is not TURN, or no longer."""


def frame_length(data: bytes | bytearray | memoryview, start: int, end: int, limit: int) -> int:
    """Bytes, padding included, of the frame that begins at `start`; 0 where `data[start:end]` is
    too short to tell. Raises `FramingError`, also for a frame longer than `limit`.
    """
    if end - start < CHANNEL_HEADER_LENGTH:
        return 0
    kind, length = _HEADER.unpack_from(data, start)
    if kind & 0xC000 == 0x4000:
        size = CHANNEL_HEADER_LENGTH + length + (-length & 3)
    elif kind & 0xC000:
        raise FramingError("neither a STUN message nor ChannelData")
    elif length & 3:
        raise FramingError("a STUN message whose length is no multiple of four")
    elif end - start >= _COOKIE_END and _COOKIE.unpack_from(data, start + 4)[0] != COOKIE:
        raise FramingError("a STUN message without the magic cookie")
    else:
        size = HEADER_LENGTH + int(length)
    if size > limit:
        raise FramingError(f"a frame of {size} bytes, {limit} are allowed")
    return int(size)

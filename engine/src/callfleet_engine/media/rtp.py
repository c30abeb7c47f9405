"""RTP headers read and written by struct (RFC 3550 section 5.1, RFC 8285). No I/O."""

from __future__ import annotations

from struct import Struct

HEADER = Struct("!BBHLL")
"""Version, padding, extension and CSRC count; marker and payload type; sequence number;
timestamp; SSRC."""

SSRC = Struct("!L")
"""At offset 8."""

VERSION_AND_PADDING = 0xE0
EXTENSION = 0x10
MARKER = 0x80

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_NUMBER_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

_ONE_BYTE = 0xBEDE
_TWO_BYTE = 0x1000
_EXTENSION_HEADER = Struct("!HH")
_ELEMENTS_OF_FOUR_BYTES = Struct("!HHL")
_SHORT = Struct("!H")
_ELEMENT_OF_ONE_BYTE = Struct("!BHx")
_ELEMENT_OF_TWO_BYTES = Struct("!BBH")


def payload_offset(data: bytes) -> int:
    """Where the payload begins, behind CSRCs and header extensions.

    Raises ValueError if the packet ends before that.
    """
    first = data[0]
    offset = 12 + 4 * (first & 0x0F)
    if first & EXTENSION:
        if len(data) < offset + 4:
            raise ValueError("RTP header extension is truncated")
        offset += 4 + 4 * ((data[offset + 2] << 8) | data[offset + 3])
    if len(data) < offset:
        raise ValueError("RTP header is truncated")
    return offset


def extension(data: bytes, identifier: int) -> bytes | None:
    """The value of one header extension, None if absent.

    `identifier` is the one negotiated by `a=extmap`. Raises ValueError if truncated.
    """
    first = data[0]
    if not first & EXTENSION:
        return None
    block = data[12 + 4 * (first & 0x0F) : payload_offset(data)]
    profile, _ = _EXTENSION_HEADER.unpack_from(block)
    if profile == _ONE_BYTE:
        return _find(block, identifier, header=1)
    if profile & 0xFFF0 == _TWO_BYTE:
        return _find(block, identifier, header=2)
    return None


def _find(block: bytes, identifier: int, header: int) -> bytes | None:
    """Walk elements with headers of one byte (RFC 8285 section 4.2) or two (4.3)."""
    at = 4
    while at < len(block):
        if block[at] == 0:  # padding
            at += 1
            continue
        if header == 1:
            found, length = block[at] >> 4, (block[at] & 0x0F) + 1
            if found == 15:  # reserved: the rest is ignored
                return None
        else:
            found, length = block[at], block[at + 1] if at + 1 < len(block) else len(block)
        at += header
        if at + length > len(block):
            raise ValueError("RTP header extension is truncated")
        if found == identifier:
            return block[at : at + length]
        at += length
    return None


def audio_level_block(identifier: int, level: int) -> bytes:
    """A header extension block with the audio level alone (RFC 6464)."""
    return _ELEMENTS_OF_FOUR_BYTES.pack(_ONE_BYTE, 1, (identifier << 28) | (level << 16))


def abs_send_time_block(identifier: int, seconds: float) -> bytes:
    """A header extension block with the time of sending alone: 6.18 bits of seconds.

    http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    """
    stamp = int(seconds * 262144) & 0xFFFFFF
    return _ELEMENTS_OF_FOUR_BYTES.pack(_ONE_BYTE, 1, (identifier << 28) | (2 << 24) | stamp)


def with_short_element(data: bytes, identifier: int, value: int) -> bytes:
    """The packet with one more header extension of 16 bits, before those it has.

    Raises ValueError if its header is truncated.
    """
    at = 12 + 4 * (data[0] & 0x0F)
    if not data[0] & EXTENSION:
        block = _EXTENSION_HEADER.pack(_ONE_BYTE, 1) + _ELEMENT_OF_ONE_BYTE.pack(
            identifier << 4 | 1, value
        )
        return bytes([data[0] | EXTENSION]) + data[1:at] + block + data[at:]
    if len(data) < at + 4:
        raise ValueError("RTP header extension is truncated")
    profile, words = _EXTENSION_HEADER.unpack_from(data, at)
    if profile == _ONE_BYTE:
        element = _ELEMENT_OF_ONE_BYTE.pack(identifier << 4 | 1, value)
    else:
        element = _ELEMENT_OF_TWO_BYTES.pack(identifier, 2, value)
    return data[: at + 2] + _SHORT.pack(words + 1) + element + data[at + 4 :]

"""RTP headers read and written by struct (RFC 3550 section 5.1, RFC 8285). No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct

HEADER = Struct("!BBHLL")
"""Version, padding, extension and CSRC count; marker and payload type; sequence number;
timestamp; SSRC."""

HEAD = Struct("!BBHLLHHB")
"""The header of a packet to subscribers, and the begin of its header extensions: profile, length in
words, and identifier and length of the first one, the transport-wide number, whose 16 bits follow.
"""

NUMBER = Struct("!H")
"""The transport-wide number behind `HEAD`."""

SSRC = Struct("!L")
"""At offset 8."""

VERSION_AND_PADDING = 0xE0
PADDING = 0x20
EXTENSION = 0x10
MARKER = 0x80

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_NUMBER_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

SILENCE = 127
"""The lowest audio level, in -dBov (RFC 6464 section 3)."""

ONE_BYTE = 0xBEDE
"""The profile of header extensions whose elements have headers of one byte (RFC 8285)."""
_ONE_BYTE_MARK = ONE_BYTE.to_bytes(2, "big")
_TWO_BYTE = 0x1000
_EXTENSION_HEADER = Struct("!HH")
_FOUR_BYTES = Struct("!L")
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


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The identifiers and values of a packet's header extensions (RFC 8285 sections 4.2, 4.3).

    Raises ValueError if one is truncated.
    """
    first = data[0]
    if not first & EXTENSION:
        return
    at, end = 12 + 4 * (first & 0x0F), payload_offset(data)
    profile = (data[at] << 8) | data[at + 1]
    if profile != ONE_BYTE and profile & 0xFFF0 != _TWO_BYTE:
        return
    at += 4
    while at < end:
        if data[at] == 0:  # padding
            at += 1
            continue
        if profile == ONE_BYTE:
            found, length = data[at] >> 4, (data[at] & 0x0F) + 1
            if found == 15:  # reserved: the rest is ignored
                return
            at += 1
        else:
            found, length = data[at], data[at + 1] if at + 1 < end else end
            at += 2
        if at + length > end:
            raise ValueError("RTP header extension is truncated")
        yield found, data[at : at + length]
        at += length


def extension(data: bytes, identifier: int) -> bytes | None:
    """The value of one header extension, None if absent.

    `identifier` is the one negotiated by `a=extmap`. Raises ValueError if truncated.
    """
    first = data[0]
    if not first & EXTENSION:
        return None
    at = 12 + 4 * (first & 0x0F)
    if data[at : at + 2] != _ONE_BYTE_MARK:
        return next((value for found, value in elements(data) if found == identifier), None)
    # The walk of `elements` again, in line: it is done for each packet that comes.
    if len(data) < at + 4:
        raise ValueError("RTP header extension is truncated")
    end = at + 4 + 4 * ((data[at + 2] << 8) | data[at + 3])
    if len(data) < end:
        raise ValueError("RTP header is truncated")
    at += 4
    while at < end:
        header = data[at]
        if header == 0:
            at += 1
            continue
        if header >> 4 == 15:
            return None
        after = at + 2 + (header & 0x0F)
        if after > end:
            raise ValueError("RTP header extension is truncated")
        if header >> 4 == identifier:
            return data[at + 1 : after]
        at = after
    return None


def mapped(data: bytes, identifiers: Mapping[int, int]) -> bytes:
    """Those extensions of a packet that are passed on, as elements with the other numbers.

    Raises ValueError if truncated.
    """
    end = payload_offset(data)
    first = data[0]
    if not first & EXTENSION:
        return b""
    at = 12 + 4 * (first & 0x0F)
    kept = b""
    if data[at : at + 2] != _ONE_BYTE_MARK:
        for found, value in elements(data):
            if found in identifiers and 1 <= len(value) <= 16:
                kept += bytes([identifiers[found] << 4 | len(value) - 1]) + value
        return kept
    # The walk of `elements` again, in line: it is done for each packet of a video.
    at += 4
    while at < end:
        header = data[at]
        if header == 0:
            at += 1
            continue
        if header >> 4 == 15:
            break
        after = at + 2 + (header & 0x0F)
        if after > end:
            raise ValueError("RTP header extension is truncated")
        if (number := identifiers.get(header >> 4)) is not None:
            kept += bytes([number << 4 | header & 0x0F]) + data[at + 1 : after]
        at = after
    return kept


def renumber_extensions(packet: bytes, identifiers: Mapping[int, int]) -> bytes:
    """A packet with the extensions of `identifiers` under their new number, and no others.

    Of a packet with one-byte element headers (RFC 8285 section 4.2), as subscribers are sent; any
    other is returned as it is. Raises ValueError if the header is truncated.
    """
    if not packet[0] & EXTENSION:
        return packet
    begin, end = 12 + 4 * (packet[0] & 0x0F), payload_offset(packet)
    if packet[begin : begin + 2] != _ONE_BYTE_MARK:
        return packet
    renumbered = bytearray(packet)
    at = begin + 4
    while at < end and packet[at] >> 4 != 15:
        if packet[at] == 0:  # padding
            at += 1
            continue
        after = at + 2 + (packet[at] & 0x0F)
        if after > end:
            raise ValueError("RTP header extension is truncated")
        identifier = identifiers.get(packet[at] >> 4)
        if identifier is None:
            renumbered[at:after] = bytes(after - at)
        else:
            renumbered[at] = identifier << 4 | (packet[at] & 0x0F)
        at = after
    return bytes(renumbered)


def audio_level_element(identifier: int, level: int) -> bytes:
    """The audio level as a header extension (RFC 6464), padded to four bytes."""
    return _FOUR_BYTES.pack((identifier << 28) | (level << 16))


def abs_send_time_element(identifier: int, seconds: float) -> bytes:
    """The time of sending as a header extension of four bytes: 6.18 bits of seconds.

    http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    """
    return _FOUR_BYTES.pack((identifier << 28) | (2 << 24) | int(seconds * 262144) & 0xFFFFFF)


def without_number(head: bytes, tail: bytes) -> bytes:
    """The packet of a `HEAD` and what follows its transport-wide number, without that."""
    words = NUMBER.unpack_from(head, 14)[0] - 1
    if words == 0:
        return bytes([head[0] & ~EXTENSION]) + head[1 : HEADER.size] + tail[1:]
    return head[:14] + NUMBER.pack(words) + tail[1:]


def with_short_element(data: bytes, identifier: int, value: int) -> bytes:
    """The packet with one more header extension of 16 bits, before those it has.

    Raises ValueError if its header is truncated.
    """
    at = 12 + 4 * (data[0] & 0x0F)
    if not data[0] & EXTENSION:
        block = _EXTENSION_HEADER.pack(ONE_BYTE, 1) + _ELEMENT_OF_ONE_BYTE.pack(
            identifier << 4 | 1, value
        )
        return bytes([data[0] | EXTENSION]) + data[1:at] + block + data[at:]
    if len(data) < at + 4:
        raise ValueError("RTP header extension is truncated")
    profile, words = _EXTENSION_HEADER.unpack_from(data, at)
    if profile == ONE_BYTE:
        element = _ELEMENT_OF_ONE_BYTE.pack(identifier << 4 | 1, value)
    else:
        element = _ELEMENT_OF_TWO_BYTES.pack(identifier, 2, value)
    return data[: at + 2] + NUMBER.pack(words + 1) + element + data[at + 4 :]

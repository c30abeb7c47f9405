"""VP8 payloads: the descriptor (RFC 7741 section 4.2) and the frame's first byte. No I/O."""

from __future__ import annotations

from callfleet_engine.media.codecs.payload import Marks, Payload, truncated

_EXTENDED = 0x80
_STARTS_PARTITION = 0x10
_PARTITION = 0x07
_HAS_PICTURE_ID = 0x80
_HAS_BASE = 0x40
_HAS_LAYER = 0x20
_HAS_KEY = 0x10
_LONG = 0x80
_INTERFRAME = 0x01


def read(payload: bytes) -> Payload:
    """Where a keyframe starts, and PictureID, TL0PICIDX and KEYIDX. Raises ValueError."""
    try:
        return _read(payload)
    except IndexError:
        raise truncated(payload, "VP8 payload") from None


def _read(payload: bytes) -> Payload:
    first = payload[0]
    at = 1
    marks = None
    if first & _EXTENDED:
        present = payload[1]
        at = 2
        picture_at, bits, picture, base_at, base, key_at, key = -1, 15, 0, -1, 0, -1, 0
        if present & _HAS_PICTURE_ID:
            picture_at, picture = at, payload[at]
            if picture & _LONG:
                picture = (picture & 0x7F) << 8 | payload[at + 1]
                at += 2
            else:
                bits = 7
                at += 1
        if present & _HAS_BASE:
            base_at, base = at, payload[at]
            at += 1
        if present & (_HAS_LAYER | _HAS_KEY):
            if present & _HAS_KEY:
                key_at, key = at, payload[at] & 0x1F
            at += 1
        if present & (_HAS_PICTURE_ID | _HAS_BASE | _HAS_KEY):
            marks = Marks(picture_at, bits, picture, base_at, base, key_at, key)
    interframe = payload[at] & _INTERFRAME
    starts = first & (_STARTS_PARTITION | _PARTITION) == _STARTS_PARTITION
    return Payload(starts and not interframe, marks)

"""VP9 payload descriptors (RFC 9628 section 4.2). No I/O."""

from __future__ import annotations

from callfleet_engine.media.codecs.payload import Marks, Payload, truncated

_HAS_PICTURE_ID = 0x80
_INTER_PREDICTED = 0x40
_HAS_LAYERS = 0x20
_FLEXIBLE = 0x10
_STARTS_FRAME = 0x08
_LONG = 0x80
_SPATIAL_LAYER = 0x0E


def read(payload: bytes) -> Payload:
    """Where a keyframe's lowest layer starts, and picture id and TL0PICIDX. Raises ValueError."""
    try:
        return _read(payload)
    except IndexError:
        raise truncated(payload, "VP9 descriptor") from None


def _read(payload: bytes) -> Payload:
    first = payload[0]
    at = 1
    picture_at, bits, picture, base_at, base = -1, 15, 0, -1, 0
    if first & _HAS_PICTURE_ID:
        picture_at, picture = at, payload[at]
        if picture & _LONG:
            picture = (picture & 0x7F) << 8 | payload[2]
            at += 2
        else:
            bits = 7
            at += 1
    lowest = True
    if first & _HAS_LAYERS:
        lowest = not payload[at] & _SPATIAL_LAYER
        at += 1
        if not first & _FLEXIBLE:
            base_at, base = at, payload[at]
    starts = bool(first & _STARTS_FRAME) and not first & _INTER_PREDICTED and lowest
    if picture_at < 0 and base_at < 0:
        return Payload(starts, None)
    return Payload(starts, Marks(picture_at, bits, picture, base_at, base, -1, 0))

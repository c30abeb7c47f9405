"""H.264 payloads: which packet starts a sequence (RFC 6184 section 5). No I/O."""

from __future__ import annotations

from callfleet_engine.media.codecs.payload import INSIDE, Payload, need

_TYPE = 0x1F
_SEQUENCE_PARAMETERS = 7
_AGGREGATE = 24
_FRAGMENT = 28
_FRAGMENT_STARTS = 0x80
_START = Payload(starts=True, marks=None)


def read(payload: bytes) -> Payload:
    """A decoder can begin where sequence parameters are: they come before each IDR picture.

    Raises ValueError.
    """
    need(payload, 1, "H.264 payload")
    kind = payload[0] & _TYPE
    if kind == _SEQUENCE_PARAMETERS:
        return _START
    if kind == _FRAGMENT:
        need(payload, 2, "H.264 fragment")
        header = payload[1]
        starts = header & _FRAGMENT_STARTS and header & _TYPE == _SEQUENCE_PARAMETERS
        return _START if starts else INSIDE
    if kind == _AGGREGATE:
        return _START if _aggregate_starts(payload) else INSIDE
    return INSIDE


def _aggregate_starts(payload: bytes) -> bool:
    """Whether a STAP-A (section 5.7.1) holds sequence parameters."""
    at = 1
    while at < len(payload):
        need(payload, at + 2, "H.264 aggregate")
        size = payload[at] << 8 | payload[at + 1]
        need(payload, at + 2 + size, "H.264 aggregate")
        if size and payload[at + 2] & _TYPE == _SEQUENCE_PARAMETERS:
            return True
        at += 2 + size
    return False

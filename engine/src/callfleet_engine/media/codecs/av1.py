"""AV1 payloads: the aggregation header (RTP Payload Format For AV1, section 4.4). No I/O."""

from __future__ import annotations

from callfleet_engine.media.codecs.payload import INSIDE, Payload, need

_CONTINUES = 0x80
_NEW_SEQUENCE = 0x08
_START = Payload(starts=True, marks=None)


def read(payload: bytes) -> Payload:
    """A decoder can begin at the first packet of a coded video sequence. Raises ValueError."""
    need(payload, 2, "AV1 payload")
    starts = payload[0] & (_CONTINUES | _NEW_SEQUENCE) == _NEW_SEQUENCE
    return _START if starts else INSIDE

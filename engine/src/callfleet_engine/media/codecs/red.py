"""Redundant audio (RFC 2198): the blocks of a payload. No I/O."""

from __future__ import annotations

from callfleet_engine.media.codecs.payload import need

_MORE = 0x80
_REDUNDANT_HEADER = 4
MAX_BLOCKS = 16


def _headers(payload: bytes) -> tuple[list[int], int]:
    """Where the block headers stand, and the sum of the redundant blocks' lengths."""
    need(payload, 1, "RED header")
    at, lengths = 0, 0
    headers = [0]
    while payload[at] & _MORE:
        if len(headers) == MAX_BLOCKS:
            raise ValueError(f"RED payload has more than {MAX_BLOCKS} blocks")
        need(payload, at + _REDUNDANT_HEADER + 1, "RED header")
        lengths += (payload[at + 2] & 0x03) << 8 | payload[at + 3]
        at += _REDUNDANT_HEADER
        headers.append(at)
    need(payload, at + 1 + lengths, "RED payload")
    return headers, lengths


def with_payload_type(payload: bytes, payload_type: int) -> bytes:
    """The payload with all blocks of this type: it is another for each side.

    Raises ValueError if it is truncated.
    """
    headers, _ = _headers(payload)
    changed = bytearray(payload)
    for at in headers:
        changed[at] = changed[at] & _MORE | payload_type
    return bytes(changed)


def primary(payload: bytes) -> bytes:
    """The newest block alone, for those who take no RED. Raises ValueError if truncated."""
    headers, lengths = _headers(payload)
    return payload[headers[-1] + 1 + lengths :]

"""What forwarding reads of a payload, whatever the codec. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Marks(NamedTuple):
    """The numbers inside a payload descriptor that go on across a switch, and where they stand.

    Offsets are in bytes from the begin of the payload, -1 where a number is absent. `picture_bits`
    is 7 or 15, the width of the picture id; `base` is TL0PICIDX; `key` is VP8's KEYIDX.
    """

    picture_at: int
    picture_bits: int
    picture: int
    base_at: int
    base: int
    key_at: int
    key: int


class Payload(NamedTuple):
    """`starts`: a decoder that knows nothing can begin with this packet."""

    starts: bool
    marks: Marks | None


ANYWHERE = Payload(starts=True, marks=None)
"""Of audio: every packet can be a first one."""

INSIDE = Payload(starts=False, marks=None)

Reader = Callable[[bytes], Payload]
"""Reads a payload. Raises ValueError if it is truncated."""


def truncated(payload: bytes, what: str) -> ValueError:
    """The error for a payload that ends too soon."""
    return ValueError(f"{what} is truncated: {len(payload)} bytes")


def need(payload: bytes, size: int, what: str) -> None:
    """Raises ValueError unless there are `size` bytes."""
    if len(payload) < size:
        raise truncated(payload, what)


class Shift(NamedTuple):
    """What is added to the numbers of each payload that is sent on."""

    picture: int
    base: int
    key: int


STILL = Shift(0, 0, 0)


def shifted(payload: bytes, at: int, marks: Marks, shift: Shift) -> bytes:
    """The bytes with the descriptor's numbers moved on; the payload begins at `at`."""
    changed = bytearray(payload)
    if marks.picture_at >= 0:
        where = at + marks.picture_at
        picture = marks.picture + shift.picture
        if marks.picture_bits == 15:
            changed[where] = 0x80 | (picture >> 8 & 0x7F)
            changed[where + 1] = picture & 0xFF
        else:
            changed[where] = picture & 0x7F
    if marks.base_at >= 0:
        changed[at + marks.base_at] = (marks.base + shift.base) & 0xFF
    if marks.key_at >= 0:
        where = at + marks.key_at
        changed[where] = changed[where] & 0xE0 | (marks.key + shift.key) & 0x1F
    return bytes(changed)


def following(marks: Marks, last: Marks, shift: Shift) -> Shift:
    """The shift that makes a payload with `marks` the next after one with `last` sent shifted."""
    return Shift(
        picture=last.picture + shift.picture + 1 - marks.picture,
        base=last.base + shift.base + 1 - marks.base,
        key=last.key + shift.key + 1 - marks.key,
    )

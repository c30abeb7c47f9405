"""What may be sent again, and how: the budget of a subscriber, and RTX (RFC 4588). No I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from callfleet_engine.media import rtp

BUDGET_SHARE = 0.5
"""Of what is sent, so much may be sent again: a NACK of four bytes asks for up to 17 packets."""
BUDGET_FLOOR_BYTES = 4_000
"""Each tick, so that a stream of few packets is repaired too."""
BUDGET_BYTES = 128 * 1024
REPEATS_REMEMBERED = 512
MIN_REPEAT_SECONDS = 0.02
PADDING_BYTES = 255
"""The most that the last byte of a packet can name (RFC 3550 section 5.1)."""

_NUMBER = Struct("!H")
_PADDING = 0x20


class RetransmissionBudget:
    """How many bytes one subscriber may make the engine send again."""

    __slots__ = ("_last", "_left")

    def __init__(self) -> None:
        self._left = float(BUDGET_FLOOR_BYTES)
        self._last: OrderedDict[tuple[int, int], float] = OrderedDict()

    def earn(self, size: int) -> None:
        """So many bytes were sent the first time."""
        self._left = min(self._left + BUDGET_SHARE * size, BUDGET_BYTES)

    def tick(self) -> None:
        """Ten times a second."""
        self._left = min(self._left + BUDGET_FLOOR_BYTES, BUDGET_BYTES)

    def take(self, ssrc: int, sequence: int, size: int, *, round_trip: float, now: float) -> bool:
        """Whether a packet may go again: within the budget, once in half a round trip.

        `round_trip` and `now` are in seconds.
        """
        packet = (ssrc, sequence)
        last = self._last.get(packet)
        if last is not None and now - last < max(round_trip / 2, MIN_REPEAT_SECONDS):
            return False
        if size > self._left:
            return False
        self._left -= size
        self._last[packet] = now
        self._last.move_to_end(packet)
        if len(self._last) > REPEATS_REMEMBERED:
            self._last.popitem(last=False)
        return True


@dataclass(slots=True)
class RtxStream:
    """The RTX stream of one stream that is sent; `payload_types` leads from that one's to its."""

    ssrc: int
    payload_types: Mapping[int, int]
    sequence: int

    def wrap(self, data: bytes) -> bytes | None:
        """The retransmission of an RTP packet; None if its payload type has no RTX."""
        first, marker_and_type, number, timestamp, _ = rtp.HEADER.unpack_from(data)
        payload_type = self.payload_types.get(marker_and_type & 0x7F)
        if payload_type is None:
            return None
        at = rtp.payload_offset(data)
        header = self._header(first, (marker_and_type & rtp.MARKER) | payload_type, timestamp)
        return header + data[rtp.HEADER.size : at] + _NUMBER.pack(number) + data[at:]

    def padding(self, timestamp: int) -> bytes:
        """A packet of padding alone, which receivers count and throw away."""
        payload_type = next(iter(self.payload_types.values()))
        header = self._header(0x80 | _PADDING, payload_type, timestamp)
        return header + bytes(PADDING_BYTES - 1) + bytes([PADDING_BYTES])

    def _header(self, first: int, marker_and_type: int, timestamp: int) -> bytes:
        self.sequence = (self.sequence + 1) & 0xFFFF
        return rtp.HEADER.pack(first, marker_and_type, self.sequence, timestamp, self.ssrc)


def unwrap(data: bytes, *, payload_type: int, ssrc: int) -> bytes | None:
    """The packet that an RTX packet carries, of this payload type and SSRC; None for padding alone.

    Raises ValueError if the packet is truncated.
    """
    first, marker_and_type, _, timestamp, _ = rtp.HEADER.unpack_from(data)
    at = rtp.payload_offset(data)
    end = len(data)
    if first & _PADDING:
        end -= data[-1]
        if end < at:
            raise ValueError("RTP padding is longer than the payload")
    if end - at < _NUMBER.size:
        return None
    (number,) = _NUMBER.unpack_from(data, at)
    header = rtp.HEADER.pack(
        first & ~_PADDING, (marker_and_type & rtp.MARKER) | payload_type, number, timestamp, ssrc
    )
    return header + data[rtp.HEADER.size : at] + data[at + _NUMBER.size : end]

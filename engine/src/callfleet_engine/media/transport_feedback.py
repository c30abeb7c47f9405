"""Transport-wide feedback: which packets of a transport arrived, and when. No I/O.

draft-holmer-rmcat-transport-wide-cc-extensions-01. A sender numbers all packets of a transport
across its streams; the receiver answers with the arrival of each, in ticks of 250 us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from struct import Struct

from aiortc.rtp import RTCP_RTPFB, pack_rtcp_packet

FORMAT = 15
"""FMT of the feedback message (section 3.1)."""

TICKS_PER_SECOND = 4000
TICKS_PER_REFERENCE = 256
"""The reference time is in multiples of 64 ms."""

MAX_READ = 8192
"""Packets that one message from a peer may speak of; sixteen bytes could name 65,535."""
MAX_WRITTEN = 500
MAX_MESSAGES = 8
MAX_GAP = 250
HISTORY_PACKETS = 1024

_MISSING, _SMALL, _LARGE = 0, 1, 2
_SSRCS = Struct("!LL")
_FIXED = Struct("!HHL")
"""Base sequence number, packet status count, reference time of 24 bits and message count of 8."""
_CHUNK = Struct("!H")
_LARGE_DELTA = Struct("!h")
_REFERENCES = 1 << 24
_MAX_RUN = 0x1FFF


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """One message. `reference_time` is in units of 64 ms, of 24 bits with a sign.

    `arrivals` are of the packets from `base_sequence` on, in ticks of 250 us after the reference
    time; None for a packet that has not arrived. `count` numbers the messages, modulo 256.
    """

    base_sequence: int
    reference_time: int
    count: int
    arrivals: tuple[int | None, ...]


def parse(fci: bytes) -> TransportFeedback:
    """Read the feedback control information, behind the two SSRCs (section 3.1).

    Raises ValueError if it is truncated, uses a reserved symbol or speaks of too many packets.
    """
    if len(fci) < _FIXED.size:
        raise ValueError("transport feedback is truncated")
    base, number, stamp = _FIXED.unpack_from(fci)
    if not 0 < number <= MAX_READ:
        raise ValueError(f"transport feedback speaks of {number} packets, 1 to {MAX_READ} can be")
    symbols, at = _read_symbols(fci, number)
    arrivals = _read_arrivals(fci, at, symbols)
    return TransportFeedback(base, _signed(stamp >> 8), stamp & 0xFF, arrivals)


def _signed(reference: int) -> int:
    """The lowest 24 bits as a number with a sign."""
    return (reference + _REFERENCES // 2) % _REFERENCES - _REFERENCES // 2


def _read_symbols(fci: bytes, number: int) -> tuple[list[int], int]:
    symbols: list[int] = []
    at = _FIXED.size
    while len(symbols) < number:
        if at + 2 > len(fci):
            raise ValueError("transport feedback is truncated in its status chunks")
        (chunk,) = _CHUNK.unpack_from(fci, at)
        at += 2
        if not chunk & 0x8000:  # run length, section 3.1.3
            symbols += [(chunk >> 13) & 3] * min(chunk & _MAX_RUN, number - len(symbols))
        elif not chunk & 0x4000:  # a vector of 14 symbols of one bit, section 3.1.4
            symbols += [(chunk >> shift) & 1 for shift in range(13, -1, -1)]
        else:  # of 7 symbols of two bits
            symbols += [(chunk >> shift) & 3 for shift in range(12, -1, -2)]
    return symbols[:number], at


def _read_arrivals(fci: bytes, at: int, symbols: Sequence[int]) -> tuple[int | None, ...]:
    arrivals: list[int | None] = []
    time = 0
    for symbol in symbols:
        if symbol == _MISSING:
            arrivals.append(None)
            continue
        if symbol > _LARGE:
            raise ValueError("transport feedback uses the reserved status symbol")
        if at + symbol > len(fci):
            raise ValueError("transport feedback is truncated in its receive deltas")
        time += fci[at] if symbol == _SMALL else _LARGE_DELTA.unpack_from(fci, at)[0]
        at += symbol
        arrivals.append(time)
    return tuple(arrivals)


def write(feedback: TransportFeedback) -> bytes:
    """The feedback control information, filled with zeros to a multiple of four bytes.

    Raises ValueError if a delta does not fit 16 bits: that needs a message of its own.
    """
    symbols: list[int] = []
    deltas = bytearray()
    last = 0
    for arrival in feedback.arrivals:
        if arrival is None:
            symbols.append(_MISSING)
            continue
        delta = arrival - last
        last = arrival
        if 0 <= delta <= 0xFF:
            symbols.append(_SMALL)
            deltas.append(delta)
        elif -0x8000 <= delta <= 0x7FFF:
            symbols.append(_LARGE)
            deltas += _LARGE_DELTA.pack(delta)
        else:
            raise ValueError(f"a receive delta of {delta} ticks does not fit 16 bits")
    stamp = feedback.reference_time % _REFERENCES << 8 | feedback.count
    fixed = _FIXED.pack(feedback.base_sequence, len(symbols), stamp)
    data = fixed + _write_symbols(symbols) + deltas
    return data + bytes(-len(data) % 4)


def _write_symbols(symbols: Sequence[int]) -> bytes:
    chunks = bytearray()
    at = 0
    while at < len(symbols):
        first = symbols[at]
        run = sum(1 for _ in takewhile(first.__eq__, symbols[at : at + _MAX_RUN]))
        ahead = symbols[at : at + 14]
        if run >= 14 or run == len(symbols) - at:
            chunks += _CHUNK.pack(first << 13 | run)
            at += run
        elif _LARGE not in ahead:
            bits = sum(symbol << (13 - index) for index, symbol in enumerate(ahead))
            chunks += _CHUNK.pack(0x8000 | bits)
            at += 14
        else:
            pairs = sum(symbol << (12 - 2 * index) for index, symbol in enumerate(ahead[:7]))
            chunks += _CHUNK.pack(0xC000 | pairs)
            at += 7
    return bytes(chunks)


def pack(feedback: TransportFeedback, *, sender_ssrc: int, media_ssrc: int) -> bytes:
    """The whole RTCP packet."""
    return bytes(
        pack_rtcp_packet(RTCP_RTPFB, FORMAT, _SSRCS.pack(sender_ssrc, media_ssrc) + write(feedback))
    )


def unwrapped(sequence: int, near: int) -> int:
    """The number of 16 bits as the extended one nearest to `near`."""
    distance = (sequence - near) & 0xFFFF
    return near + distance - (0x10000 if distance >= 0x8000 else 0)


class ArrivalRecorder:
    """What a receiver notes of a transport's packets between its messages.

    Bounded: it remembers the last 1024 numbers, and a peer that jumps among them gets at most
    eight messages of 500 packets each time.
    """

    def __init__(self) -> None:
        self._arrivals: dict[int, int] = {}
        self._highest = -1
        self._next = 0
        self._count = 0

    def record(self, sequence: int, now: float) -> None:
        """A packet with this transport-wide number came; `now` in seconds."""
        if self._highest < 0:
            self._highest = self._next = number = sequence + 0x10000
        else:
            number = unwrapped(sequence, self._highest)
        if number in self._arrivals or number <= self._highest - HISTORY_PACKETS:
            return
        self._arrivals[number] = int(now * TICKS_PER_SECOND)
        self._highest = max(self._highest, number)
        self._next = min(self._next, number)

    def messages(self) -> list[TransportFeedback]:
        """What has not been told yet, oldest first; told with this call."""
        oldest = self._highest - HISTORY_PACKETS
        for number in [n for n in self._arrivals if n <= oldest]:
            del self._arrivals[number]
        numbers = sorted(n for n in self._arrivals if n >= self._next)
        base = self._next
        self._next = self._highest + 1
        messages: list[TransportFeedback] = []
        while numbers and len(messages) < MAX_MESSAGES:
            if numbers[0] - base > MAX_GAP:
                base = numbers[0]
            message, taken = self._message(base, numbers)
            messages.append(message)
            base = numbers[taken - 1] + 1
            numbers = numbers[taken:]
        return messages

    def _message(self, base: int, numbers: Sequence[int]) -> tuple[TransportFeedback, int]:
        """From `base` on as far as one message goes, and how many of `numbers` it holds."""
        reference = self._arrivals[numbers[0]] // TICKS_PER_REFERENCE
        last = reference * TICKS_PER_REFERENCE
        arrivals: list[int | None] = []
        taken = 0
        for number in numbers:
            arrival = self._arrivals[number]
            gap = number - base - len(arrivals)
            if (
                gap > MAX_GAP
                or len(arrivals) + gap >= MAX_WRITTEN
                or not -0x8000 <= arrival - last <= 0x7FFF
            ):
                break
            arrivals += [None] * gap
            arrivals.append(arrival - reference * TICKS_PER_REFERENCE)
            last = arrival
            taken += 1
        self._count = (self._count + 1) & 0xFF
        return (
            TransportFeedback(base & 0xFFFF, _signed(reference), self._count, tuple(arrivals)),
            taken,
        )

"""What a receiver of one RTP stream knows: order, loss and jitter (RFC 3550 appendix A). No I/O."""

from __future__ import annotations

from dataclasses import dataclass

MAX_MISSING = 128
MAX_NACK_TRIES = 6
NACK_RETRY_SECONDS = 0.1
"""Before the first answer has told how long one takes."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.03, 0.3


@dataclass(slots=True)
class _Missing:
    tries: int
    last: float


class InboundStream:
    """One SSRC's sequence numbers and arrival times."""

    __slots__ = (
        "_expected_prior",
        "_jitter",
        "_last_arrival",
        "_last_timestamp",
        "_lost_counted",
        "_missing",
        "_received_prior",
        "_retry",
        "base",
        "bytes_received",
        "clock_rate",
        "highest",
        "packets_received",
    )

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.base = -1
        self.highest = -1
        self.packets_received = 0
        self.bytes_received = 0
        self._jitter = 0.0
        self._last_arrival = 0.0
        self._last_timestamp = 0
        self._missing: dict[int, _Missing] = {}
        self._retry = NACK_RETRY_SECONDS
        self._expected_prior = 0
        self._received_prior = 0
        self._lost_counted = 0

    def add(self, sequence: int, timestamp: int, arrival: float, length: int) -> int:
        """Take a packet; returns its extended sequence number (RFC 3550 section 6.4.1).

        `arrival` is in seconds of a monotonic clock, `length` in bytes.
        """
        self.packets_received += 1
        self.bytes_received += length
        if self.highest < 0:
            # One cycle ahead, so that a packet reordered before the first has no negative number.
            self.base = self.highest = extended = sequence + 0x10000
        else:
            distance = (sequence - self.highest) & 0xFFFF
            if distance >= 0x8000:
                extended = self.highest + distance - 0x10000
                self.base = min(self.base, extended)
                self._repaired(extended, arrival)
                return extended
            extended = self.highest + distance
            if distance > 1:
                self._note_missing(extended)
            self.highest = extended
            if timestamp != self._last_timestamp:
                elapsed = (timestamp - self._last_timestamp) & 0xFFFFFFFF
                if elapsed >= 0x80000000:
                    elapsed -= 0x100000000
                transit = (arrival - self._last_arrival) * self.clock_rate - elapsed
                self._jitter += (abs(transit) - self._jitter) / 16
        self._last_arrival = arrival
        self._last_timestamp = timestamp
        return extended

    def recover(self, sequence: int, arrival: float) -> int | None:
        """Take a packet that came by RTX: its extended number, None if it was not missing.

        It counts neither as received nor as less lost (RFC 4588 section 7.1): the report tells the
        sender of what its path lost.
        """
        extended = self.highest + ((sequence - self.highest + 0x8000) & 0xFFFF) - 0x8000
        return extended if self._repaired(extended, arrival) else None

    def _repaired(self, extended: int, arrival: float) -> bool:
        missing = self._missing.pop(extended, None)
        if missing is None:
            return False
        if missing.tries == 1:  # after more it is not known which try was answered
            answered = min(
                max(1.5 * (arrival - missing.last), MIN_RETRY_SECONDS), MAX_RETRY_SECONDS
            )
            self._retry += (answered - self._retry) / 8
        return True

    def _note_missing(self, extended: int) -> None:
        if extended - self.highest > MAX_MISSING:
            # Too long to repair: subscribers ask for a keyframe instead.
            self._missing.clear()
            return
        for missing in range(self.highest + 1, extended):
            self._missing[missing] = _Missing(0, float("-inf"))
        while len(self._missing) > MAX_MISSING:
            del self._missing[next(iter(self._missing))]

    @property
    def has_missing(self) -> bool:
        """Whether some packet is still asked for."""
        return bool(self._missing)

    def nack(self, now: float) -> list[int]:
        """Sequence numbers to ask for now (RFC 4585 section 6.2.1), each at most six times.

        One that is asked for again waits half as long again as answers have taken.
        """
        due: list[int] = []
        for extended, missing in list(self._missing.items()):
            if now - missing.last < self._retry:
                continue
            if missing.tries == MAX_NACK_TRIES:
                del self._missing[extended]
                continue
            missing.tries += 1
            missing.last = now
            due.append(extended & 0xFFFF)
        return due

    @property
    def packets_expected(self) -> int:
        """Packets the sender must have sent so far."""
        return self.highest - self.base + 1 if self.highest >= 0 else 0

    @property
    def packets_lost(self) -> int:
        """Expected less received; negative with duplicates (RFC 3550 appendix A.3)."""
        return self.packets_expected - self.packets_received

    @property
    def jitter_units(self) -> int:
        """Interarrival jitter in units of the RTP timestamp."""
        return int(self._jitter)

    @property
    def jitter_seconds(self) -> float:
        """Interarrival jitter in seconds."""
        return self._jitter / self.clock_rate

    def fraction_lost(self) -> int:
        """Loss since the last call, in 1/256 (RFC 3550 appendix A.3)."""
        expected = self.packets_expected - self._expected_prior
        received = self.packets_received - self._received_prior
        self._expected_prior += expected
        self._received_prior += received
        lost = expected - received
        return min((lost << 8) // expected, 255) if expected > 0 and lost > 0 else 0

    def newly_lost(self) -> int:
        """Losses not counted by an earlier call; a packet that comes late is not taken back."""
        new = max(self.packets_lost - self._lost_counted, 0)
        self._lost_counted += new
        return new

"""Bit rates of streams, from two looks at their counts of bytes. Nothing is on packets' path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from callfleet_engine.calls.call import Call
from callfleet_engine.media.interface import ParticipantStats

RATE_SECONDS = 5.0

Way = Literal["published", "subscribed"]


@dataclass(frozen=True, slots=True)
class StreamId:
    """One SSRC of one participant, on its way to the engine or from it."""

    participant: str
    way: Way
    ssrc: int


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    bytes: int
    bits_per_second: float | None


class BitRates:
    """What each stream carried between the last two looks; payload alone, without headers."""

    def __init__(self) -> None:
        self._looks: dict[StreamId, _Look] = {}

    def sample(self, calls: Iterable[Call], now: float) -> None:
        """Look at every stream; `now` in seconds of a clock that never falls."""
        looks = {}
        for call in calls:
            for participant in call:
                for stream, count in counts(participant.id, participant.statistics()).items():
                    looks[stream] = _next(self._looks.get(stream), now, count)
        self._looks = looks

    def bits_per_second(self, stream: StreamId) -> float | None:
        """None until a stream has been looked at twice."""
        look = self._looks.get(stream)
        return look.bits_per_second if look else None


def counts(participant: str, stats: ParticipantStats) -> dict[StreamId, int]:
    """The bytes of all streams of a participant."""
    published = {
        StreamId(participant, "published", stream.ssrc): stream.bytes_received
        for stream in stats.published
    }
    subscribed = {
        StreamId(participant, "subscribed", stream.ssrc): stream.bytes_sent
        for stream in stats.subscribed
    }
    return published | subscribed


def _next(before: _Look | None, now: float, count: int) -> _Look:
    # A count that fell belongs to a stream that began anew.
    if before is None or count < before.bytes or now <= before.at:
        return _Look(now, count, None)
    return _Look(now, count, (count - before.bytes) * 8 / (now - before.at))

"""Bit rates of streams, from two looks at their counts of bytes. Nothing is on packets' path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.participant import Participant
from callfleet_engine.media.interface import ParticipantStats

RATE_SECONDS = 5.0

Way = Literal["published", "subscribed"]


@dataclass(frozen=True, slots=True)
class StreamId:
    """One SSRC of a participant, on its way to the engine or from it."""

    way: Way
    ssrc: int


@dataclass(frozen=True, slots=True)
class _Look:
    """All streams of a participant at one moment."""

    at: float
    bytes: Mapping[StreamId, int]
    bits_per_second: Mapping[StreamId, float]


class BitRates:
    """What each stream carried between the last two looks; payload alone, without headers."""

    def __init__(self) -> None:
        self._looks: WeakKeyDictionary[Participant, _Look] = WeakKeyDictionary()

    def look(self, call: Call, now: float) -> None:
        """Look at every stream of a call; `now` in seconds of the event loop's clock."""
        for participant in call:
            before = self._looks.get(participant)
            if before is not None and call.quiet_since(before.at):
                at_rest = dict.fromkeys(before.bytes, 0.0)
                self._looks[participant] = _Look(now, before.bytes, at_rest)
            else:
                self._looks[participant] = _next(before, now, counts(participant.statistics()))

    def bits_per_second(self, participant: Participant, stream: StreamId) -> float | None:
        """None until a stream has been looked at twice."""
        look = self._looks.get(participant)
        return look.bits_per_second.get(stream) if look else None


def counts(stats: ParticipantStats) -> dict[StreamId, int]:
    """The bytes of all streams of a participant."""
    published = {StreamId("published", one.ssrc): one.bytes_received for one in stats.published}
    subscribed = {StreamId("subscribed", one.ssrc): one.bytes_sent for one in stats.subscribed}
    return published | subscribed


def _next(before: _Look | None, now: float, bytes_now: Mapping[StreamId, int]) -> _Look:
    if before is None or now <= before.at:
        return _Look(now, bytes_now, {})
    rates = {
        stream: (count - before.bytes[stream]) * 8 / (now - before.at)
        for stream, count in bytes_now.items()
        # A count that fell belongs to a stream that began anew.
        if stream in before.bytes and count >= before.bytes[stream]
    }
    return _Look(now, bytes_now, rates)

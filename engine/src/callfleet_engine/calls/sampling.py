"""Quality samples: how each participant's media fared since the sample before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import fmean
from weakref import WeakKeyDictionary

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.participant import Participant
from callfleet_engine.media.interface import ParticipantStats
from callfleet_engine.store.interface import Direction, QualitySample, SampleBuffer

SAMPLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Totals:
    """All of a participant's streams in one direction, since they began.

    Jitter and round-trip time are of the moment, in seconds.
    """

    packets: int
    packets_lost: int
    bytes: int
    jitter: float | None
    round_trip: float | None


def totals(stats: ParticipantStats) -> dict[Direction, Totals]:
    """Sums and means over the streams of both directions."""
    published, subscribed = stats.published, stats.subscribed
    return {
        Direction.IN: Totals(
            packets=sum(stream.packets_received for stream in published),
            packets_lost=sum(stream.packets_lost for stream in published),
            bytes=sum(stream.bytes_received for stream in published),
            jitter=_mean([stream.jitter for stream in published]),
            round_trip=None,
        ),
        Direction.OUT: Totals(
            packets=sum(stream.packets_sent for stream in subscribed),
            packets_lost=sum(stream.packets_lost or 0 for stream in subscribed),
            bytes=sum(stream.bytes_sent for stream in subscribed),
            jitter=_mean([stream.jitter for stream in subscribed]),
            round_trip=_mean([stream.round_trip_time for stream in subscribed]),
        ),
    }


def since(before: Totals, now: Totals) -> Totals:
    """What came in between. Totals that fell belong to streams that began anew meanwhile."""
    if now.packets < before.packets or now.bytes < before.bytes:
        return now
    return Totals(
        packets=now.packets - before.packets,
        # Duplicates make the count of losses fall (RFC 3550, section 6.4.1).
        packets_lost=max(0, now.packets_lost - before.packets_lost),
        bytes=now.bytes - before.bytes,
        jitter=now.jitter,
        round_trip=now.round_trip,
    )


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Where a participant stood when it was sampled."""

    at: float
    totals: Mapping[Direction, Totals]


class Sampler:
    """Keeps each participant's latest totals."""

    def __init__(self, buffer: SampleBuffer) -> None:
        self._buffer = buffer
        self._before: WeakKeyDictionary[Participant, _Sampled] = WeakKeyDictionary()

    def sample(self, call: Call, at: datetime, now: float) -> None:
        """Add a sample for each direction in which packets went since the last one; `now` in
        seconds of the event loop's clock."""
        for participant in call:
            before = self._before.get(participant)
            if before is not None and call.quiet_since(before.at):
                self._before[participant] = replace(before, at=now)
                continue
            latest = totals(participant.statistics())
            seconds = now - (before.at if before else participant.began)
            for direction, total in latest.items():
                lately = since(before.totals[direction], total) if before else total
                if lately.packets > 0:
                    self._buffer.add(
                        _sample(call, participant, direction, lately, at=at, seconds=seconds)
                    )
            self._before[participant] = _Sampled(now, latest)


def _sample(
    call: Call,
    participant: Participant,
    direction: Direction,
    lately: Totals,
    *,
    at: datetime,
    seconds: float,
) -> QualitySample:
    return QualitySample(
        call_id=call.id,
        epoch=call.route.epoch,
        participant_id=participant.id,
        direction=direction,
        at=at,
        packets=lately.packets,
        packets_lost=max(0, lately.packets_lost),
        jitter_seconds=lately.jitter,
        round_trip_seconds=lately.round_trip,
        bits_per_second=lately.bytes * 8 / seconds,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None

"""Quality samples: how each participant's media fared since the sample before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from callfleet_engine.calls.call import Call
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


class Sampler:
    """Keeps each participant's latest totals."""

    def __init__(self, buffer: SampleBuffer) -> None:
        self._buffer = buffer
        self._before: dict[str, dict[Direction, Totals]] = {}

    def sample(self, calls: Iterable[Call], at: datetime, seconds: float) -> None:
        """Add a sample for each direction in which packets went in the last `seconds`."""
        latest: dict[str, dict[Direction, Totals]] = {}
        for call in calls:
            for participant in call:
                now = latest[participant.id] = totals(participant.statistics())
                before = self._before.get(participant.id, {})
                for direction, total in now.items():
                    lately = since(before[direction], total) if before else total
                    if lately.packets > 0:
                        self._buffer.add(
                            QualitySample(
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
                        )
        self._before = latest


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None

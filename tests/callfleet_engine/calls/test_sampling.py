"""Quality samples from real media."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.sampling import Sampler, Totals, since, totals
from callfleet_engine.media.interface import InboundStats, OutboundStats, ParticipantStats
from callfleet_engine.store.interface import Direction, QualitySample

INBOUND = InboundStats(
    kind="audio",
    source="microphone",
    mid="0",
    rid="",
    ssrc=1,
    mime_type="audio/opus",
    packets_received=100,
    bytes_received=10_000,
    packets_lost=5,
    jitter=0.01,
    nack_count=0,
    pli_count=0,
)
OUTBOUND = OutboundStats(
    kind="audio",
    source="microphone",
    mid="0",
    rid="",
    participant="b",
    ssrc=1,
    mime_type="audio/opus",
    packets_sent=50,
    bytes_sent=5_000,
    retransmitted_packets_sent=0,
    nack_count=0,
    pli_count=0,
    packets_lost=None,
    jitter=None,
    round_trip_time=None,
    layer=0,
    freezes_avoided=0,
)


def test_totals_are_sums_and_means_of_what_is_known() -> None:
    heard = replace(OUTBOUND, packets_lost=3, jitter=0.02, round_trip_time=0.1)
    stats = ParticipantStats((INBOUND, replace(INBOUND, jitter=0.03)), (OUTBOUND, heard))
    assert totals(stats) == {
        Direction.IN: Totals(200, 10, 20_000, 0.02, None),
        Direction.OUT: Totals(100, 3, 10_000, 0.02, 0.1),
    }
    assert totals(ParticipantStats((), ()))[Direction.OUT] == Totals(0, 0, 0, None, None)


figures = st.builds(
    Totals,
    st.integers(0, 1000),
    st.integers(-100, 1000),
    st.integers(0, 10**6),
    st.none(),
    st.none(),
)


@given(figures, figures)
def test_a_difference_is_never_negative(before: Totals, now: Totals) -> None:
    lately = since(before, now)
    assert 0 <= lately.packets <= now.packets
    assert 0 <= lately.bytes <= now.bytes


class Kept:
    """Where samples go."""

    backlog = 0
    dropped = 0

    def __init__(self) -> None:
        self.samples: list[QualitySample] = []

    def add(self, sample: QualitySample) -> None:
        self.samples.append(sample)


class Route:
    epoch = 1


class Ada:
    """Counts how often somebody looks."""

    id = "ada"
    began = 97.0

    def __init__(self) -> None:
        self.received = 0
        self.looks = 0

    def statistics(self) -> ParticipantStats:
        self.looks += 1
        stream = replace(INBOUND, packets_received=self.received, bytes_received=self.received * 10)
        return ParticipantStats((stream,), ())


class OneCall:
    """Of Ada alone."""

    id = "call"
    route = Route()

    def __init__(self) -> None:
        self.ada = Ada()
        self.active_at = 0.0
        self.kept = Kept()
        self.sampler = Sampler(self.kept)

    def __iter__(self) -> Iterator[Ada]:
        return iter((self.ada,))

    def quiet_since(self, moment: float) -> bool:
        return self.active_at <= moment

    def sample(self, now: float, received: int) -> None:
        if received != self.ada.received:
            self.active_at = now
        self.ada.received = received
        self.sampler.sample(cast("Call", self), datetime.now(UTC), now)


def test_what_came_since_the_last_sample_is_told_and_before_the_first_since_the_join() -> None:
    call = OneCall()
    call.sample(100.0, 15)
    call.sample(110.0, 40)
    assert [(one.packets, one.bits_per_second) for one in call.kept.samples] == [
        (15, 15 * 80 / 3),
        (25, 25 * 80 / 10),
    ]


def test_a_call_at_rest_is_not_looked_at_and_goes_on_from_its_end() -> None:
    call = OneCall()
    call.sample(100.0, 15)
    for now in (115.0, 130.0):
        call.sample(now, 15)
    assert call.ada.looks == 1
    assert len(call.kept.samples) == 1
    call.sample(140.0, 40)
    assert (call.kept.samples[-1].packets, call.kept.samples[-1].bits_per_second) == (25, 200)

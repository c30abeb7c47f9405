"""Quality samples from real media."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

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


def test_nobody_to_sample() -> None:
    kept = Kept()
    Sampler(kept).sample([], datetime.now(UTC), 15)
    assert kept.samples == []

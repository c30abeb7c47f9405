"""Timestamps of several encodings on one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.timeline import SenderClock, continued, same_moments

RATE = 90000


def test_reports_tell_which_moments_are_the_same() -> None:
    base = SenderClock(ntp=100 << 32, rtp=5_000)
    later = SenderClock(ntp=(102 << 32) + (1 << 31), rtp=900_000)
    offset = same_moments(base, later, RATE)
    assert 900_000 + offset == 5_000 + 2.5 * RATE


@given(st.integers(0, 2**64 - 1), st.integers(-(2**36), 2**36), st.integers(0, 2**32 - 1))
def test_reports_in_any_order_agree_to_a_tick(ntp: int, between: int, rtp: int) -> None:
    base = SenderClock(ntp, 0)
    other = SenderClock(ntp + between, rtp)
    there = same_moments(base, other, RATE)
    back = same_moments(SenderClock(other.ntp, rtp + there), base, RATE)
    assert abs(back) <= 1


def test_without_reports_arrival_tells() -> None:
    assert 70 + continued(70, 1_000, ticks=3_000, clock_rate=RATE, wished=None) == 4_000
    assert 70 + continued(70, 1_000, ticks=0, clock_rate=RATE, wished=None) == 1_001


def test_reports_are_preferred_to_arrival() -> None:
    assert continued(0, 1_000, ticks=3_000, clock_rate=RATE, wished=3_500) == 3_500


def test_the_same_picture_in_another_size_does_not_go_back() -> None:
    assert 50 + continued(50, 1_000, ticks=100, clock_rate=RATE, wished=950) == 1_001
    assert 50 + continued(50, 1_000, ticks=100, clock_rate=RATE, wished=-2_000) == 1_001


def test_nonsense_in_reports_is_not_followed() -> None:
    for wished in (10 * RATE, -10 * RATE, 2**31):
        assert continued(0, 1_000, ticks=3_000, clock_rate=RATE, wished=wished) == 4_000


@given(
    st.integers(0, 2**32 - 1),
    st.integers(-(2**40), 2**40),
    st.integers(0, 2**24),
    st.one_of(st.none(), st.integers(-(2**40), 2**40)),
)
def test_it_always_goes_on_and_never_far(
    timestamp: int, last: int, ticks: int, wished: int | None
) -> None:
    out = timestamp + continued(timestamp, last, ticks=ticks, clock_rate=RATE, wished=wished)
    step = (out - last) & 0xFFFFFFFF
    assert 0 < step <= ticks + RATE

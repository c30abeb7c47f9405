"""The bound on messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.signalling.rate import TokenBucket


@given(st.lists(st.floats(0, 5), min_size=1, max_size=100))
def test_never_more_than_burst_and_rate(gaps: list[float]) -> None:
    bucket = TokenBucket(per_second=2, burst=5, now=0)
    now, taken = 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
        assert taken <= 5 + 2 * now + 1e-6


def test_the_burst_comes_back() -> None:
    bucket = TokenBucket(per_second=1, burst=2, now=0)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(10) for _ in range(3)] == [True, True, False]

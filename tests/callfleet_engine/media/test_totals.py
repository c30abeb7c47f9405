from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.totals import JITTER_BOUNDS_SECONDS, Totals


@given(st.lists(st.floats(0, 2)))
def test_histogram_is_cumulative_as_prometheus_has_it(samples: list[float]) -> None:
    totals = Totals()
    for sample in samples:
        totals.observe_jitter(sample)
    histogram = totals.snapshot().jitter_seconds
    assert [bound for bound, _ in histogram.buckets] == [*JITTER_BOUNDS_SECONDS, math.inf]
    for bound, count in histogram.buckets:
        assert count == sum(sample <= bound for sample in samples)
    assert math.isclose(histogram.sum, sum(samples), abs_tol=1e-9)

"""Hypothesis strategies for parts of the API."""

from __future__ import annotations

from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1.callcluster import Schedule
from callfleet_operator.api.v1alpha1.common import ScaleIn, ScaleOut

_RATE = {
    "stabilization_window_seconds": st.integers(0, 3600),
    "max_pods": st.integers(1, 1000),
    "period_seconds": st.integers(1, 1800),
}
scale_out = st.builds(ScaleOut, **_RATE)
scale_in = st.builds(ScaleIn, **_RATE)
schedules = st.lists(
    st.builds(
        Schedule,
        name=st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        cron=st.just("0 8 * * 1-5"),
        duration_seconds=st.integers(60, 604800),
        min_replicas=st.integers(1, 1000),
    ),
    max_size=4,
).map(tuple)

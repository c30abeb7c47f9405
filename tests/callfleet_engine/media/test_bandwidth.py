"""An estimator finds what a path carries, and nothing where the path shows no limit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_engine.media.bandwidth import (
    MAX_BITRATE,
    MIN_BITRATE,
    REMB_SECONDS,
    BandwidthEstimator,
    Outcome,
)
from tests.callfleet_engine.media.paths import Path, run
from tests.hypothesis_profiles import examples


@pytest.mark.parametrize("jitter", [0.0, 0.005])
@pytest.mark.parametrize("offered", [60e3, 300e3, 2e6])
def test_a_path_that_shows_no_limit_has_none(offered: float, jitter: float) -> None:
    estimator = BandwidthEstimator()
    run(Path(capacity=20e6, jitter=jitter), estimator, lambda *_: offered, seconds=20)
    assert estimator.estimate is None
    assert estimator.delivered == pytest.approx(offered, rel=0.2)


@settings(max_examples=examples(20))
@given(st.floats(150e3, 4e6), st.floats(1.5, 6))
def test_too_much_is_seen_within_three_seconds(capacity: float, times: float) -> None:
    estimator = BandwidthEstimator()
    result = run(Path(capacity=capacity), estimator, lambda *_: times * capacity, seconds=3)
    assert estimator.estimate is not None
    assert 0.5 * capacity < estimator.estimate < 1.1 * capacity, result.estimates


@settings(max_examples=examples(20))
@given(st.floats(150e3, 4e6), st.sampled_from([0.0, 0.01]))
def test_who_keeps_to_it_uses_the_path_and_loses_little(capacity: float, jitter: float) -> None:
    estimator = BandwidthEstimator()
    path = Path(capacity=capacity, jitter=jitter)
    result = run(path, estimator, lambda _, e: 3 * capacity if e is None else e, seconds=30)
    later = [e for e in result.after(10) if e is not None]
    assert min(later) > 0.4 * capacity
    assert max(later) < 1.3 * capacity
    assert sum(later) / len(later) > 0.6 * capacity


@pytest.mark.parametrize("loss", [0.01, 0.05])
def test_loss_that_is_no_congestion_is_no_limit(loss: float) -> None:
    estimator = BandwidthEstimator()
    run(Path(capacity=20e6, loss=loss), estimator, lambda *_: 1e6, seconds=20)
    assert estimator.estimate is None


@pytest.mark.parametrize("loss", [0.10, 0.25])
def test_heavy_loss_lowers_it_and_starves_nobody(loss: float) -> None:
    estimator = BandwidthEstimator()
    run(Path(capacity=20e6, loss=loss), estimator, lambda *_: 1e6, seconds=20)
    if loss > 0.2:
        assert estimator.estimate is not None
    assert estimator.estimate is None or estimator.estimate > 0.5 * (1 - loss) * 1e6


def test_jitter_of_50_ms_costs_no_more_than_a_part() -> None:
    estimator = BandwidthEstimator()
    result = run(Path(capacity=20e6, jitter=0.05), estimator, lambda *_: 1e6, seconds=30)
    assert all(e is None or e > 0.7e6 for e in result.after(0)), result.estimates


def test_a_path_that_grows_is_found_out_by_sending_more() -> None:
    estimator = BandwidthEstimator()
    path = Path(capacity=300e3)
    run(path, estimator, lambda *_: 900e3, seconds=3)
    low = estimator.estimate
    path.capacity = 5e6
    run(path, estimator, lambda *_: 900e3, seconds=6, start=104)
    assert low is not None
    assert estimator.estimate is not None
    assert low < 400e3
    assert estimator.estimate > 850e3


def test_nobody_who_sends_little_is_promised_much() -> None:
    estimator = BandwidthEstimator()
    path = Path(capacity=300e3)
    run(path, estimator, lambda *_: 900e3, seconds=3)
    path.capacity = 50e6
    result = run(path, estimator, lambda *_: 100e3, seconds=60, start=104)
    estimates = [e for e in result.after(2) if e is not None]
    assert max(estimates) <= max(estimates[0], 1.5 * 130e3)


def test_reports_of_loss_alone_lower_it_too() -> None:
    estimator = BandwidthEstimator()
    estimator.fraction_lost(0.05, 1.0, sending=1e6)
    assert estimator.estimate is None
    estimator.fraction_lost(0.4, 2.0, sending=1e6)
    lowered = estimator.estimate
    assert lowered is not None
    assert 0.3e6 < lowered < 0.6e6
    for second in range(3, 20):
        estimator.fraction_lost(0.0, second, sending=1e6)
    assert estimator.estimate is not None
    assert estimator.estimate > 2 * lowered


def test_what_the_receiver_estimates_counts_while_it_is_renewed() -> None:
    estimator = BandwidthEstimator()
    estimator.remb(400e3, 10.0)
    estimator.tick(10 + REMB_SECONDS / 2)
    assert estimator.estimate == 400e3
    estimator.remb(0, 11.0)
    assert estimator.estimate == MIN_BITRATE
    estimator.tick(11 + REMB_SECONDS * 1.1)
    assert estimator.estimate is None


TIMES = st.floats(-1e6, 1e6)
OUTCOMES = st.lists(
    st.builds(Outcome, TIMES, st.one_of(st.none(), TIMES), st.integers(0, 1500)), max_size=60
)


@given(st.lists(st.tuples(TIMES, OUTCOMES), max_size=12), st.lists(st.floats(0, 1), max_size=3))
def test_whatever_is_reported_an_estimate_is_a_bit_rate(
    messages: list[tuple[float, list[Outcome]]], losses: list[float]
) -> None:
    estimator = BandwidthEstimator()
    for now, outcomes in messages:
        estimator.outcomes(outcomes, now)
        for loss in losses:
            estimator.fraction_lost(loss, now, sending=1e6)
        assert estimator.estimate is None or MIN_BITRATE <= estimator.estimate <= MAX_BITRATE

"""Calls that are drawn from a history give that history back."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_operator.simulate.durations import Durations, Exponential, Measured
from callfleet_operator.simulate.traffic import (
    MOST_CALLS,
    Call,
    History,
    Shown,
    TooMuchError,
    traffic,
)
from tests.callfleet_operator.simulate.samples import HOUR, MINUTE, START, history, made

WORKDAY = (*[200.0] * 6, *(200.0 + 50 * step for step in range(13)), *[800.0] * 12)


def test_the_same_seed_gives_the_same_calls_and_another_one_others() -> None:
    first, again, other = (
        traffic(history(*WORKDAY), Exponential(20 * MINUTE), 2.5, seed=seed) for seed in (7, 7, 8)
    )
    assert first == again
    assert first.calls != other.calls


def test_participants_come_back_in_the_mean() -> None:
    # 24 replays: the mean of each value is known to 2 * sqrt(800 * 2 / 24), 5 % are beyond that
    past = history(*WORKDAY)
    made_of = [traffic(past, Exponential(20 * MINUTE), 2, seed=seed) for seed in range(24)]
    means = [
        fmean(values)
        for values in zip(*(one.offered(past.seconds) for one in made_of), strict=True)
    ]
    for mean, value in zip(means, past.values, strict=True):
        assert mean == pytest.approx(value, abs=4 * math.sqrt(value * 2 / 24))


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=20),
    st.sampled_from([Exponential(300), Measured((60.0, 600.0), (1, 2, 0))]),
)
def test_counted_calls_are_exactly_those_of_each_step(
    counts: list[int], lasting: Durations
) -> None:
    past = history(*map(float, counts), shown=Shown.CALLS)
    begins = [call.begins for call in traffic(past, lasting, 2, seed=1).calls]
    steps = zip(past.seconds, past.seconds[1:], strict=False)
    assert [sum(low <= one < high for one in begins) for low, high in steps] == counts[:-1]
    assert begins == sorted(begins)


def test_parts_of_calls_add_up() -> None:
    past = history(*[0.25] * 41, shown=Shown.CALLS)
    assert len(traffic(past, Exponential(60), 2, seed=1).calls) == 10


def test_a_fall_that_no_call_could_follow_is_said() -> None:
    drawn = traffic(history(400, 0, 0, 0), Exponential(HOUR), 2, seed=1)
    assert drawn.too_steep == 1
    assert drawn.calls == ()
    (end,) = drawn.offered((1800.0,))
    assert end > 150, "those who were there stay as long as calls last"


def test_sizes_are_whole_and_have_the_mean() -> None:
    drawn = traffic(history(2000, 2000), Exponential(600), 2.25, seed=1)
    sizes = [call.participants for call in drawn.under_way]
    assert set(sizes) == {2, 3}
    assert fmean(sizes) == pytest.approx(2.25, abs=0.1)


def test_more_calls_than_memory_bears_are_refused() -> None:
    with pytest.raises(TooMuchError, match="choose a shorter time"):
        traffic(history(MOST_CALLS, 1, 1, shown=Shown.CALLS), Exponential(60), 2, seed=1)


def test_who_is_there_at_a_time() -> None:
    drawn = made(Call(100, 200, 3), under_way=(Call(-50, 150, 2),))
    assert drawn.offered((0, 99, 100, 149, 150, 200)) == (2, 2, 5, 5, 3, 0)


@pytest.mark.parametrize(
    ("seconds", "values"), [((0,), (1,)), ((1, 2), (1, 1)), ((0, 0), (1, 1)), ((0, 1), (1, -1))]
)
def test_what_is_no_history(seconds: tuple[float, ...], values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="histor"):
        History(START, seconds, values, Shown.CALLS)


@pytest.mark.parametrize(
    ("lasting", "mean"),
    [(Exponential(100), 100), (Measured((10.0, 100.0), (2, 1, 1)), (2 * 5 + 55 + 150) / 4)],
)
def test_durations_have_their_mean(lasting: Durations, mean: float) -> None:
    random = Random(1)  # noqa: S311  # no secret
    assert lasting.mean == pytest.approx(mean)
    assert fmean(lasting.draw(random) for _ in range(20_000)) == pytest.approx(mean, rel=0.03)


def test_calls_found_under_way_are_the_long_ones() -> None:
    # half of the calls last 0..10 s, half 10..110 s: by time the long ones are 60 of 65
    lasting, random = Measured((10.0, 110.0), (1, 1, 0)), Random(1)  # noqa: S311
    found = [lasting.draw_found(random) for _ in range(20_000)]
    wholes = [gone + left for gone, left in found]
    assert sum(whole > 10 for whole in wholes) / len(wholes) == pytest.approx(60 / 65, abs=0.01)
    assert fmean(gone for gone, _ in found) == pytest.approx(
        fmean(left for _, left in found), rel=0.03
    )
    # E[L^2] / E[L] (renewal theory, the inspection paradox)
    second = (10**2 / 3 + (10**2 + 10 * 110 + 110**2) / 3) / 2
    assert fmean(wholes) == pytest.approx(second / lasting.mean, rel=0.03)


@pytest.mark.parametrize(
    ("bounds", "counts"),
    [((), (1,)), ((10.0, 5.0), (1, 1, 1)), ((10.0,), (1,)), ((10.0,), (0, 0)), ((10.0,), (-1, 2))],
)
def test_what_is_no_histogram(bounds: tuple[float, ...], counts: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Measured(bounds, counts)

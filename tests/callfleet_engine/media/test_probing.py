"""Padding is sent where more is wanted than is known to fit, and ever more rarely in vain."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.probing import MAX_FACTOR, MAX_PAUSE_SECONDS, MIN_RATE, Prober

TICK = 0.1


def ask(prober: Prober, now: float, estimate: float | None = 300e3) -> float:
    return prober.rate(estimate=estimate, next_step=600e3, now=now)


def test_without_a_limit_or_a_wish_nothing_is_sent() -> None:
    prober = Prober()
    assert ask(prober, 0.0, None) == 0
    assert prober.rate(estimate=300e3, next_step=None, now=0.1) == 0
    assert prober.rate(estimate=700e3, next_step=600e3, now=0.2) == 0


def test_no_more_than_the_step_needs_nor_half_more_than_is_known() -> None:
    assert ask(Prober(), 0.0) == MAX_FACTOR * 300e3
    assert Prober().rate(estimate=300e3, next_step=400e3, now=0) == 400e3
    assert Prober().rate(estimate=30e3, next_step=600e3, now=0) == MIN_RATE


def test_a_limit_ends_it_and_the_next_waits_longer() -> None:
    prober, starts = Prober(), list[int]()
    for second in range(600):
        if ask(prober, second) > 0:
            starts.append(second)
            assert ask(prober, second, 250e3) == 0
    pauses = [b - a for a, b in pairwise(starts)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 10
    assert pauses[-1] == MAX_PAUSE_SECONDS


def test_one_that_raises_the_estimate_is_followed_by_another() -> None:
    prober, now, estimate = Prober(), 0.0, 300e3
    idle = 0.0
    while estimate < 600e3:
        rate = ask(prober, now, estimate)
        idle = 0.0 if rate else idle + TICK
        estimate = max(estimate, 0.02 * rate + 0.98 * estimate)
        now += TICK
        assert idle < 7
        if now > 60:
            break
    assert estimate > 370e3


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(3e4, 1e7)),
            st.one_of(st.none(), st.floats(0, 1e7)),
            st.floats(0, 100),
        ),
        max_size=60,
    )
)
def test_it_never_sends_much_more_than_is_known(
    asked: list[tuple[float | None, float | None, float]],
) -> None:
    prober, now = Prober(), 0.0
    for estimate, next_step, elapsed in asked:
        now += elapsed
        rate = prober.rate(estimate=estimate, next_step=next_step, now=now)
        assert rate >= 0
        assert not rate or (
            estimate is not None
            and next_step is not None
            and rate <= min(next_step, max(MAX_FACTOR * estimate, MIN_RATE))
        )

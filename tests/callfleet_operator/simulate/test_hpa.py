"""The HPA's algorithm against what Kubernetes documents of it."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.simulate import hpa
from callfleet_operator.simulate.scalers import Hpa, Keda, Seen

TENTH = Fraction(1, 10)


@pytest.mark.parametrize(
    ("used", "target", "wanted"),
    [
        ([200], 100, 2),  # the documentation's own: twice the value doubles the replicas
        ([50, 50], 100, 1),  # half of it halves them
        ([90] * 50, 75, 60),  # 50 x 90/75, of the page on tolerance
        ([100, 100], 100, 2),
        ([109, 109], 100, 2),  # within the tolerance
        ([110, 110], 100, 2),  # at its edge
        ([111, 111], 100, 3),  # ceil(2 x 1.11)
        ([91, 89], 100, 2),
        ([80, 80, 80], 100, 3),  # ceil(3 x 0.8)
        ([0, 0, 0], 100, 0),  # bounds come later
        ([28, 28], 28, 2),
    ],
)
def test_desired_is_current_times_metric_over_target(
    used: list[int], target: float, wanted: int
) -> None:
    assert hpa.by_pod_metric(used, 0, target=target, tolerance=TENTH) == wanted


@pytest.mark.parametrize(
    ("used", "unready", "wanted"),
    [
        ([200], 1, 2),  # the starting pod counts as 0: 200 over 2 pods is the target
        ([400], 1, 4),
        ([150], 2, 3),  # dampened below the target: no change of direction
        ([50, 50], 1, 1),  # going down only ready pods count
        ([], 3, 3),  # no metric at all
    ],
)
def test_pods_that_start_dampen_a_scale_up(used: list[int], unready: int, wanted: int) -> None:
    assert hpa.by_pod_metric(used, unready, target=100, tolerance=TENTH) == wanted


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.integers(1, 300))
def test_the_formula_holds_beyond_the_tolerance(used: list[int], target: int) -> None:
    ratio = Fraction(sum(used), len(used) * target)
    expected = len(used) if abs(ratio - 1) <= TENTH else math.ceil(len(used) * ratio)
    assert hpa.by_pod_metric(used, 0, target=target, tolerance=TENTH) == expected


@pytest.mark.parametrize(
    ("total", "current", "wanted"), [(100, 4, 4), (109, 4, 4), (120, 4, 5), (10, 4, 1), (0, 2, 0)]
)
def test_an_external_metric_is_shared_among_pods(total: int, current: int, wanted: int) -> None:
    assert hpa.by_total(total, current, threshold=25, tolerance=TENTH) == wanted


def run(wanted: list[int], current: int, *, every: float = 15, most: int = 100) -> list[int]:
    """The replicas after each of some syncs."""
    past, after = hpa.Past(), []
    for number, one in enumerate(wanted):
        current, past = hpa.settle(one, current, past, now=number * every, least=1, most=most)
        after.append(current)
    return after


def test_down_goes_to_the_highest_of_five_minutes() -> None:
    # 10 is asked for at 0 s; it leaves the window of 300 s with the sync at 300 s
    assert run([10, *[4] * 22], 10) == [10] * 20 + [4] * 3


def test_a_bump_within_the_window_starts_it_anew() -> None:
    assert run([10, *[4] * 10, 8, *[4] * 25], 10)[20:34] == [8] * 11 + [4] * 3


def test_up_is_at_once_by_four_pods_or_twice_whichever_is_more() -> None:
    assert run([100] * 5, 1) == [5, 10, 20, 40, 80]


def test_the_rate_counts_what_was_added_within_the_period() -> None:
    # syncs every 5 s: 15 s see one doubling, whatever is asked in between
    assert run([100] * 7, 10, every=5) == [20, 20, 20, 40, 40, 40, 80]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 10),
    st.integers(10, 30),
)
def test_bounds_and_rates_hold(wanted: list[int], current: int, least: int, most: int) -> None:
    past = hpa.Past()
    for number, one in enumerate(wanted):
        before = current
        current, past = hpa.settle(one, before, past, now=number * 15, least=least, most=most)
        assert least <= current <= most
        assert current <= max(before + 4, before * 2, least)
        assert current >= min(before, one, most)


def test_the_hpa_does_not_see_pods_that_terminate_and_keda_does() -> None:
    seen = Seen(now=0, ready=[28, 28], unready=0, terminating=28)
    assert Hpa(28, 1, 20).replicas(seen) == 2
    assert Keda(28, 1, 20).replicas(seen) == 3


def test_keda_serves_a_poll_of_thirty_seconds() -> None:
    keda = Keda(28, 1, 20)
    steps = [(0, [28]), (15, [84]), (30, [84]), (45, [1])]
    assert [keda.replicas(Seen(at, ready, 0, 0)) for at, ready in steps] == [1, 1, 3, 3]

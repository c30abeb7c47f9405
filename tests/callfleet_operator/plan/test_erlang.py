"""Blocking by Erlang's formula, and the floor that follows from it."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.observation import CallDemand
from callfleet_operator.plan.decision import Proposal
from callfleet_operator.plan.erlang import blocking, groups_needed
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.required import blocking_limit
from tests.callfleet_operator.plan import strategies as any_


def exact(places: int, erlangs: Fraction) -> Fraction:
    """The recursion from no place on, in exact numbers."""
    lost = Fraction(1)
    for place in range(1, places + 1):
        lost = erlangs * lost / (place + erlangs * lost)
    return lost


@pytest.mark.parametrize(
    ("places", "erlangs", "lost"),
    [
        # by hand: 1 / (1 + 1/A) and (A^2/2) / (1 + A + A^2/2)
        (1, 1, 1 / 2),
        (1, 0.5, 1 / 3),
        (2, 2, 2 / 5),
        # from the tables that every handbook prints
        (10, 4.46, 0.01),
        (20, 12.03, 0.01),
        (50, 37.90, 0.01),
        (100, 84.06, 0.01),
        (10, 3.09, 0.001),
        (100, 75.24, 0.001),
        # edges
        (0, 5, 1),
        (0, 0, 1),
        (3, 0, 0),
    ],
)
def test_values_of_the_tables(places: int, erlangs: float, lost: float) -> None:
    assert blocking(places, erlangs) == pytest.approx(lost, rel=0.01)


@any_.modest
@given(st.integers(0, 150), st.fractions(0, 300, max_denominator=1000))
def test_it_is_the_recursion_in_exact_numbers(places: int, erlangs: Fraction) -> None:
    assert blocking(places, float(erlangs)) == pytest.approx(
        float(exact(places, erlangs)), rel=1e-9, abs=1e-300
    )


@any_.modest
@given(st.floats(0, 1e9), st.integers(1, 10_000), st.floats(1e-6, 1))
def test_the_number_found_suffices_and_one_less_does_not(
    erlangs: float, places: int, limit: float
) -> None:
    groups = groups_needed(erlangs, places=places, limit=limit, most=1000)

    assert 1 <= groups <= 1000
    if groups < 1000:
        assert blocking(groups * places, erlangs, negligible=limit) <= limit
    if groups > 1:
        assert blocking((groups - 1) * places, erlangs, negligible=limit) > limit


@pytest.mark.parametrize("erlangs", [1e-9, 1.0, 1e4, 9.9e6, 1e7, 1e9])
def test_the_largest_fleet_takes_few_terms(erlangs: float) -> None:
    """1000 pods of 10,000 calls: the recursion from no place on would take ten million steps."""
    places = 10_000_000
    terms, term, total = 0, 1.0, 1.0
    while total <= 1e6 and (places - terms >= erlangs or term >= 1e-15 * total):
        term *= (places - terms) / erlangs
        total += term
        terms += 1

    assert terms < 50_000
    assert blocking(places, erlangs, negligible=1e-6) == pytest.approx(1 / total, abs=1e-6)


def traffic(per_second: float, duration: float, people: float) -> CallDemand:
    return CallDemand(0, duration, people, hourly_arrivals_per_second=per_second)


class TestFloor:
    def floor(
        self,
        demand: CallDemand | None,
        *,
        limit: int = 1000,
        capacity: int = 40,
        before: Proposal | None = None,
    ) -> tuple[Proposal, str, str]:
        after, record = blocking_limit(
            before or Proposal.exactly(1),
            demand,
            capacity=capacity,
            new_call_limit_percent=85,
            max_blocking_per_million=limit,
        )
        return after, record.reason, record.message

    @pytest.mark.parametrize(
        ("per_second", "duration", "people", "pods"),
        [
            (1 / 60, 2700, 5, 11),  # 45 erlang, 6 calls a pod: 66 places block 0.7 in a thousand
            (112 / 2700, 2700, 2, 9),  # 112 erlang, 17 calls a pod: 153 places
            (0, 2700, 2, 1),
            (1, 0, 2, 1),
            (1, 60, 50, 83),  # calls larger than a pod's limit: one a pod
        ],
    )
    def test_pods_for_a_load(
        self, per_second: float, duration: float, people: float, pods: int
    ) -> None:
        after, reason, _ = self.floor(traffic(per_second, duration, people))

        assert after == Proposal.exactly(pods)
        assert reason == Reason.BLOCKING_LIMIT

    def test_the_message_shows_the_arithmetic(self) -> None:
        _, _, message = self.floor(traffic(1 / 60, 2700, 5))

        assert message == (
            "Calls of 2700 s at the last hour's rate are 45 at a time; with 6 a pod, 11 open pods "
            "refuse 681 in a million, maxBlockingPerMillion is 1000."
        )

    def test_a_tighter_limit_asks_for_more(self) -> None:
        demand = traffic(1 / 60, 2700, 5)

        assert self.floor(demand, limit=1)[0].low > self.floor(demand, limit=1000)[0].low
        assert self.floor(demand, limit=1_000_000)[0].low == 1

    def test_zero_switches_it_off(self) -> None:
        after, reason, _ = self.floor(traffic(100, 2700, 5), limit=0)

        assert (after, reason) == (Proposal.exactly(1), Reason.BLOCKING_UNLIMITED)

    @pytest.mark.parametrize(
        "demand",
        [
            None,
            CallDemand(1, 60, 2),
            traffic(math.nan, 60, 2),
            traffic(1, math.nan, 2),
            traffic(1, math.inf, 2),
            traffic(1, -1, 2),
            traffic(1, 60, math.nan),
        ],
    )
    def test_unknown_sets_no_floor_and_says_so(self, demand: CallDemand | None) -> None:
        after, reason, message = self.floor(demand)

        assert (after, reason) == (Proposal.exactly(1), Reason.BLOCKING_UNKNOWN)
        assert "not known" in message

    def test_absurd_demand_asks_for_no_more_than_any_spec_allows(self) -> None:
        assert self.floor(traffic(1e308, 1e308, 1))[0] == Proposal.exactly(1000)

    def test_it_is_a_floor_under_both_ends(self) -> None:
        after, _, _ = self.floor(traffic(1 / 60, 2700, 5), before=Proposal(3, 20))

        assert after == Proposal(11, 20)

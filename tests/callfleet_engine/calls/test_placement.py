"""Which pod hosts a new call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.calls.admission import EXPECTED_PARTICIPANTS
from callfleet_engine.calls.placement import Candidate, place, place_moved
from callfleet_engine.limits import Limits
from tests.callfleet_engine.seeded import seeded

LIMITS = Limits(target_utilization_percent=70, new_call_limit_percent=85)


def pod(uid: str, used: int, *, capacity: int = 100, is_open: bool = True) -> Candidate:
    return Candidate(uid, f"10.0.0.{uid}:8080", is_open, used, capacity)


def chosen(*candidates: Candidate, seed: int = 1) -> str | None:
    found = place(candidates, LIMITS, seeded(seed))
    return found.uid if found else None


def test_the_fullest_within_the_target() -> None:
    assert chosen(pod("a", 10), pod("b", 68), pod("c", 69)) == "b"


def test_utilisation_counts_not_numbers() -> None:
    assert chosen(pod("a", 30, capacity=50), pod("b", 40, capacity=100)) == "a"


def test_beyond_the_target_the_emptier_of_two() -> None:
    candidates = [pod("a", 82), pod("b", 75), pod("c", 70)]
    picked = {chosen(*candidates, seed=seed) for seed in range(50)}
    assert picked == {"b", "c"}


def test_nobody_within_the_new_call_limit() -> None:
    assert chosen(pod("a", 84), pod("b", 100), pod("c", 0, is_open=False)) is None
    assert chosen() is None


def test_an_empty_pod_takes_a_call_however_small_it_is() -> None:
    assert chosen(pod("a", 0, capacity=1)) == "a"


def chosen_for(people: int, *candidates: Candidate) -> str | None:
    found = place_moved(candidates, people, LIMITS, seeded(1))
    return found.uid if found else None


def test_a_call_that_moves_takes_a_place_for_each() -> None:
    assert chosen_for(10, pod("a", 65), pod("b", 60), pod("c", 10)) == "b"
    assert chosen_for(20, pod("a", 70), pod("b", 64)) == "b"


def test_a_call_that_moves_may_fill_a_pod_where_none_has_room_below_the_limit() -> None:
    assert chosen_for(10, pod("a", 91), pod("b", 90), pod("c", 0, is_open=False)) == "b"
    assert chosen_for(10, pod("a", 91)) is None


candidates = st.lists(
    st.builds(
        Candidate,
        uid=st.uuids().map(str),
        address=st.just("10.0.0.1"),
        open=st.booleans(),
        used=st.integers(0, 12_000),
        capacity=st.integers(1, 10_000),
    ),
    max_size=8,
)
limits = st.tuples(st.integers(1, 100), st.integers(1, 100)).map(
    lambda pair: Limits(target_utilization_percent=min(pair), new_call_limit_percent=max(pair))
)


@given(candidates, limits, st.integers())
def test_never_above_the_limit_never_a_draining_pod(
    pods: list[Candidate], at: Limits, seed: int
) -> None:
    found = place(pods, at, seeded(seed))
    within = [
        one
        for one in pods
        if one.open
        and (
            one.used == 0
            or (one.used + EXPECTED_PARTICIPANTS) * 100 <= one.capacity * at.new_call_limit_percent
        )
    ]
    # Division rounds; a pod that stands exactly on the limit may fall either way.
    if found is None:
        assert all(
            one.used
            and one.utilisation_with(EXPECTED_PARTICIPANTS) * 100 > at.new_call_limit_percent
            for one in within
        )
    else:
        assert found in pods
        assert found.open
        assert (
            found.used == 0
            or found.utilisation_with(EXPECTED_PARTICIPANTS) * 100 <= at.new_call_limit_percent
        )


@given(candidates, limits, st.integers())
def test_a_pod_within_the_target_goes_first(pods: list[Candidate], at: Limits, seed: int) -> None:
    found = place(pods, at, seeded(seed))
    fits = [
        one
        for one in pods
        if one.open
        and one.utilisation_with(EXPECTED_PARTICIPANTS) * 100 <= at.target_utilization_percent
    ]
    if fits:
        assert found is not None
        assert found.utilisation_with(EXPECTED_PARTICIPANTS) == max(
            one.utilisation_with(EXPECTED_PARTICIPANTS) for one in fits
        )

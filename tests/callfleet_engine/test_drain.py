"""The way of a pod out of service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.drain import Drain, DrainConflict, Occupancy
from callfleet_engine.store.interface import Admission

EMPTY = Occupancy(calls=0, joins=0)


def test_drain_undrain_drain_seal() -> None:
    sealed = []
    drain = Drain(on_sealed=lambda: sealed.append(True))
    drain.begin("one")
    drain.cancel("one")
    assert drain.admission == "open"
    drain.begin("two")
    drain.seal("two", EMPTY)
    assert drain.admission == "sealed"
    assert sealed == [True]


def test_a_later_drain_takes_the_place_of_an_earlier_one() -> None:
    drain = Drain()
    drain.begin("one")
    drain.begin("two")
    with pytest.raises(DrainConflict) as refused:
        drain.seal("one", EMPTY)
    assert refused.value.code == "not_draining"
    drain.seal("two", EMPTY)


@pytest.mark.parametrize("left", [Occupancy(1, 0), Occupancy(0, 1)])
def test_seal_needs_an_empty_pod(left: Occupancy) -> None:
    drain = Drain()
    drain.begin("one")
    with pytest.raises(DrainConflict) as refused:
        drain.seal("one", left)
    assert refused.value.code == "not_empty"
    assert refused.value.occupancy == left
    assert drain.admission is Admission.DRAINING


def test_seal_needs_a_drain() -> None:
    with pytest.raises(DrainConflict) as refused:
        Drain().seal("one", EMPTY)
    assert refused.value.code == "not_draining"


def test_undrain_of_an_older_drain_changes_nothing() -> None:
    drain = Drain()
    drain.begin("two")
    with pytest.raises(DrainConflict) as refused:
        drain.cancel("one")
    assert refused.value.code == "not_draining"
    assert drain.admission is Admission.DRAINING


def test_nobody_cancels_the_drain_of_a_process_that_ends() -> None:
    drain = Drain()
    drain.terminate()
    drain.begin("operator's")
    with pytest.raises(DrainConflict) as refused:
        drain.cancel("operator's")
    assert refused.value.code == "terminating"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "cancel", "seal", "terminate", "end"]),
            st.sampled_from(["one", "two"]),
            st.builds(Occupancy, st.integers(0, 1), st.integers(0, 1)),
        )
    )
)
def test_sealed_is_final_and_announced_once(
    steps: list[tuple[str, str, Occupancy]],
) -> None:
    announced = []
    drain = Drain(on_sealed=lambda: announced.append(True))
    was_sealed = False
    for step, drain_id, occupancy in steps:
        try:
            match step:
                case "begin":
                    drain.begin(drain_id)
                case "cancel":
                    drain.cancel(drain_id)
                case "seal":
                    drain.seal(drain_id, occupancy)
                    assert was_sealed or occupancy == EMPTY
                case "terminate":
                    drain.terminate()
                case "end":
                    drain.end()
        except DrainConflict:
            pass
        is_sealed = drain.admission is Admission.SEALED
        assert is_sealed or not was_sealed
        assert len(announced) == is_sealed
        was_sealed = is_sealed

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.slots import Slots


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), max_size=20))
def test_nobody_moves_and_free_pairs_are_used_again(rounds: list[list[str]]) -> None:
    slots = Slots()
    most = 0
    for wanted in rounds:
        before = list(slots.publishers)
        slots.assign(wanted)
        held = [p for p in slots.publishers if p is not None]
        assert sorted(held) == sorted(wanted)
        assert len(slots.publishers) >= len(before)
        stayed = set(before) & set(wanted)
        assert all(slots.publishers.index(p) == before.index(p) for p in stayed)
        most = max(most, len(wanted))
        assert len(slots.publishers) == most

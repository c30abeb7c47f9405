"""The native plane's bit rates beside the reference's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_relay import quota
from callfleet_relay.transport import native

from .fuzzing import EXAMPLES

limits = st.sampled_from([0, 8, 8000, 12_000])
users = st.sampled_from(["alice", "bob"])
steps = st.lists(
    st.tuples(
        users,
        st.sampled_from(["admits", "spend"]),
        st.integers(0, 1),
        st.integers(0, 2000),
        st.floats(0, 2, allow_subnormal=False),
    ),
    max_size=30,
)


@settings(max_examples=EXAMPLES)
@given(limits, limits, steps)
def test_every_answer_is_the_same(
    per_allocation: int,
    per_user: int,
    asked: list[tuple[str, str, int, int, float]],
) -> None:
    now = 100.0
    reference = quota.BitRates(per_allocation=per_allocation, per_user=per_user)
    ours = native.BitRates(per_allocation=per_allocation, per_user=per_user)
    sessions = {
        user: [(reference.open(user, now), ours.open(user, now)) for _ in range(2)]
        for user in ("alice", "bob")
    }
    for user, what, direction, size, seconds in asked:
        now += seconds
        expected, found = (each[direction] for each in sessions[user][size % 2])
        assert (expected is None) == (found is None)
        if expected is not None:
            assert getattr(found, what)(size, now) == getattr(expected, what)(size, now)
    for user in ("alice", "bob"):
        for _ in range(2):
            reference.close(user)
            ours.close(user)
    fresh = [rates.open("alice", now)[0] for rates in (reference, ours)]
    answers = [None if each is None else each.admits(1000, now) for each in fresh]
    assert answers[0] == answers[1]

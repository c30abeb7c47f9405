from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.quota import AllocationQuota, TokenBucket


def test_counts_each_user_and_all() -> None:
    quota = AllocationQuota(total=3, per_user=2)
    quota.take("a")
    quota.take("a")
    quota.take("b")

    assert not quota.has_room(1)
    assert not quota.has_room_for("a")
    assert quota.has_room_for("b")
    quota.give_back("a")
    assert quota.has_room(1)
    assert not quota.has_room(2)
    assert quota.has_room_for("a")
    assert quota.total == 2


def test_a_bucket_holds_one_second_of_its_rate() -> None:
    bucket = TokenBucket(8000, now=0.0)

    assert bucket.admits(1000, 0.0)
    assert not bucket.admits(1, 0.0)
    assert bucket.admits(500, 0.5)
    assert not bucket.admits(1, 0.5)
    assert bucket.admits(1000, 100.0)
    assert not bucket.admits(1, 100.0)


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 2)), max_size=100),
    st.integers(1, 100_000),
)
def test_no_window_carries_more_than_the_rate_and_its_burst(
    packets: list[tuple[int, float]], rate: int
) -> None:
    bucket, now, admitted = TokenBucket(rate, now=0.0), 0.0, 0
    for size, pause in packets:
        now += pause
        if bucket.admits(size, now):
            admitted += size * 8

    assert admitted <= rate * (now + 1) * (1 + 1e-9)

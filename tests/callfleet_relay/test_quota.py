from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.quota import AllocationQuota, BitRates, TokenBucket


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


def test_without_limits_there_is_nothing_to_ask() -> None:
    assert BitRates().open("alice", 0.0) == (None, None)


def test_directions_have_a_limit_each() -> None:
    upstream, downstream = BitRates(per_allocation=8000).open("alice", 0.0)

    assert upstream is not None
    assert downstream is not None
    assert upstream.admits(1000, 0.0)
    assert not upstream.admits(1, 0.0)
    assert downstream.admits(1000, 0.0)


def test_sessions_of_a_user_share_the_users_rate() -> None:
    rates = BitRates(per_user=8000)
    first, _ = rates.open("alice", 0.0)
    second, _ = rates.open("alice", 0.0)
    other, _ = rates.open("bob", 0.0)
    assert first is not None
    assert second is not None
    assert other is not None

    assert first.admits(600, 0.0)
    assert not second.admits(600, 0.0)
    assert second.admits(400, 0.0)
    assert other.admits(1000, 0.0)


def test_a_packet_takes_of_both_rates_or_of_none() -> None:
    rates = BitRates(per_allocation=8000, per_user=12_000)
    first, _ = rates.open("alice", 0.0)
    second, _ = rates.open("alice", 0.0)
    assert first is not None
    assert second is not None

    assert first.admits(1000, 0.0)
    assert not first.admits(1, 0.0)
    assert not second.admits(600, 0.0)
    assert second.admits(500, 0.0)
    assert not second.admits(1, 0.0)
    assert second.admits(500, 0.5)


def test_a_user_without_sessions_is_forgotten() -> None:
    rates = BitRates(per_user=8000)
    first, _ = rates.open("alice", 0.0)
    assert first is not None
    assert first.admits(1000, 0.0)
    again, _ = rates.open("alice", 0.0)
    assert again is not None
    rates.close("alice")
    assert not again.admits(1, 0.0)
    rates.close("alice")

    fresh, _ = rates.open("alice", 0.0)

    assert fresh is not None
    assert fresh.admits(1000, 0.0)

"""The choice of a relay."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from callfleet_engine.turn.relays import Relay, RelayDirectory
from tests.callfleet_engine.seeded import seeded


class Keys:
    def __init__(self, *pools: str) -> None:
        self.pools = pools

    def can_sign(self, pool: str) -> bool:
        return pool in self.pools


ALL = Keys("infra/a", "infra/b")


def relay(pod: str, free: int = 100, pool: str = "infra/a", *, near: bool = False) -> Relay:
    urls = (f"turn:{pod}:3478",)
    return Relay(pool=pool, pod=pod, urls=urls, free_allocations=free, near=near)


def test_weighted_by_free_allocations() -> None:
    counts: Counter[str] = Counter()
    for seed in range(600):
        chosen = RelayDirectory([relay("a", 100), relay("b", 200), relay("c", 0)]).choose(
            seeded(seed), ALL
        )
        assert chosen is not None
        counts[chosen.pod] += 1
    assert counts["c"] == 0
    assert counts["b"] > counts["a"] > 100


def test_what_was_handed_out_counts_until_the_next_list() -> None:
    directory = RelayDirectory([relay("a", 4), relay("b", 4)])
    chosen = Counter(
        found.pod for _ in range(4) if (found := directory.choose(seeded(1), ALL)) is not None
    )
    assert chosen == {"a": 2, "b": 2}


def test_full_relays_are_handed_out_all_the_same() -> None:
    assert RelayDirectory([relay("a", 0)]).choose(seeded(1), ALL) == relay("a", 0)


def test_near_relays_come_first_while_they_have_room() -> None:
    directory = RelayDirectory(
        [relay("far", 1000), relay("a", 2, near=True), relay("b", 2, near=True)]
    )
    first = {found.pod for _ in range(2) if (found := directory.choose(seeded(1), ALL)) is not None}
    assert first == {"a", "b"}
    assert directory.choose(seeded(1), ALL) == relay("far", 1000)


def test_a_relay_that_was_tried_comes_last() -> None:
    directory = RelayDirectory([relay("a", 1000), relay("b", 1)])
    tried = [relay("a").identity]
    assert {directory.choose(seeded(seed), ALL, tried) for seed in range(20)} == {relay("b", 1)}
    only = RelayDirectory([relay("a")])
    assert only.choose(seeded(1), ALL, tried) == relay("a")


def test_a_pool_without_a_key_is_of_no_use() -> None:
    directory = RelayDirectory([relay("a", pool="infra/other")])
    assert directory.choose(seeded(1), ALL) is None
    assert not directory.any_usable(ALL)
    assert len(directory) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"urls": []},
        {"urls": ["http://a"]},
        {"urls": ["turn:a b"]},
        {"urls": ["turn:a?transport=sctp"]},
        {"freeAllocations": -1},
        {"pod": ""},
    ],
)
def test_a_bad_relay_is_refused(change: dict[str, object]) -> None:
    good = {"pool": "infra/a", "pod": "a", "region": "", "urls": ["turn:a:3478?transport=udp"]}
    Relay.model_validate(good)
    with pytest.raises(ValidationError):
        Relay.model_validate({**good, **change})


@given(
    st.lists(st.builds(relay, st.sampled_from("abcd"), st.integers(0, 10)), max_size=6),
    st.lists(st.builds(lambda pod: relay(pod).identity, st.sampled_from("abcd"))),
    st.integers(),
)
def test_a_choice_is_one_of_the_relays(
    relays: list[Relay], tried: list[tuple[str, str]], seed: int
) -> None:
    chosen = RelayDirectory(relays).choose(seeded(seed), ALL, tried)
    assert (chosen is None) == (not relays)
    if chosen is not None and chosen.identity in tried:
        assert all(one.identity in tried for one in relays)

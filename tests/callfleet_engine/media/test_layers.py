"""Which layer is which, what is live, what it carries, which one to send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.layers import (
    HIGHEST,
    SILENT_SECONDS,
    LayerState,
    RateMeter,
    highest_live,
    lively,
    ordered,
)


@pytest.mark.parametrize(
    ("declared", "lowest_first"),
    [
        ((), ()),
        (("a",), ("a",)),
        (("q", "h", "f"), ("q", "h", "f")),
        (("f", "h", "q"), ("q", "h", "f")),
        (("f", "q"), ("q", "f")),
        (("High", "Low"), ("Low", "High")),
        (("high", "mid", "low"), ("low", "mid", "high")),
        (("2", "1", "0"), ("2", "1", "0")),
        (("f", "q", "h"), ("f", "q", "h")),
    ],
)
def test_layers_are_in_order_of_quality(
    declared: tuple[str, ...], lowest_first: tuple[str, ...]
) -> None:
    assert ordered(declared) == lowest_first


def states(*live: bool) -> list[LayerState]:
    return [LayerState(index, "", it, 0.0) for index, it in enumerate(live)]


def test_a_layer_lives_as_long_as_it_keeps_up_with_the_others() -> None:
    assert lively([]) == ()
    assert lively([0.0, 0.0]) == (False, False)
    assert lively([5.0, 5.0 - SILENT_SECONDS, 4.9]) == (True, False, True)


def test_a_still_screen_stays_live() -> None:
    assert lively([5.0]) == (True,)


@pytest.mark.parametrize(
    ("live", "most", "chosen"),
    [
        ((True, True, True), HIGHEST, 2),
        ((True, True, False), HIGHEST, 1),
        ((True, False, True), 1, 0),
        ((False, False, True), 0, None),
        ((), HIGHEST, None),
    ],
)
def test_the_best_live_layer_within_the_wish(
    live: tuple[bool, ...], most: int, chosen: int | None
) -> None:
    assert highest_live(states(*live), most) == chosen


@given(st.lists(st.booleans(), max_size=3), st.integers(0, HIGHEST))
def test_what_is_chosen_is_live_and_nothing_better_is(live: list[bool], most: int) -> None:
    chosen = highest_live(states(*live), most)
    better = [i for i, it in enumerate(live) if it and i <= most and (chosen is None or i > chosen)]
    assert better == []
    assert chosen is None or live[chosen]


def test_bit_rates_are_of_the_last_seconds() -> None:
    meter = RateMeter()
    assert meter.bitrate == 0
    total = 0
    for tick in range(61):
        meter.sample(tick / 10, total)
        total += 1_000 if tick < 20 else 5_000
    assert meter.bitrate == pytest.approx(50_000 * 8)
    for tick in range(61, 100):
        meter.sample(tick / 10, total)
    assert meter.bitrate == 0


def test_the_same_moment_twice_is_no_rate() -> None:
    meter = RateMeter()
    meter.sample(1.0, 0)
    meter.sample(1.0, 500)
    assert meter.bitrate == 0

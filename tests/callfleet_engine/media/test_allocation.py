"""Layers are given out in order, within the budget, and stay where they are."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.allocation import (
    PAUSE_SHARE,
    Allocation,
    Demand,
    Layer,
    allocate,
)


def layers(*rates: float) -> tuple[Layer, ...]:
    return tuple(Layer(number, rate) for number, rate in enumerate(rates))


AUDIO = Demand("audio", layers(40e3))
SIMULCAST = layers(150e3, 500e3, 1.5e6)


def video(**changes: object) -> Demand:
    return replace(Demand("video", SIMULCAST), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "demand", "spared"),
    [
        (300e3, video(current=2), True),
        (700e3, video(current=2), True),
        (300e3, video(current=2, wanted=2), True),
        # Nothing was sent before, it goes on, or it is raised.
        (300e3, video(), False),
        (300e3, video(current=0), False),
        (3e6, video(current=1), False),
        # A pause is a freeze.
        (50e3, video(current=2), False),
        # The client wants no more.
        (300e3, video(current=2, wanted=1), False),
        (None, video(current=2, wanted=0), False),
        # The layer has ended.
        (300e3, Demand("video", layers(150e3, 500e3), current=2), False),
        (300e3, AUDIO, False),
    ],
)
def test_a_lower_layer_in_time_is_a_freeze_avoided(
    budget: float | None, demand: Demand, spared: bool
) -> None:
    assert allocate([demand], budget).spared == (spared,)


@pytest.mark.parametrize(
    ("budget", "demands", "expected"),
    [
        (None, [AUDIO, video(), video()], (0, 2, 2)),
        (None, [AUDIO, video(wanted=1), video(wanted=0)], (0, 1, 0)),
        (300e3, [AUDIO, video(current=2)], (0, 0)),
        (300e3, [AUDIO, video(), video(), video()], (0, 0, None, None)),
        (250e3, [AUDIO, AUDIO, video(current=0), video(current=0)], (0, 0, 0, None)),
        # A tile that is shown is not paused for less than half.
        (260e3, [AUDIO, AUDIO, video(current=0), video(current=0)], (0, 0, 0, 0)),
        # The speaker is raised first, the others in turn.
        (1.2e6, [video(), video(speaker=True), video()], (0, 1, 0)),
        (2.3e6, [video(), video(speaker=True), video()], (0, 2, 0)),
        (1.4e6, [video(), video()], (1, 1)),
        # Nobody freezes for the sake of the speaker's higher layer.
        (0.6e6, [video(speaker=True), video(), video()], (0, 0, 0)),
        # What does not fit leaves its place to what does.
        (300e3, [Demand("video", layers(2e6), speaker=True), video()], (None, 0)),
        (10e3, [AUDIO, video(current=1)], (0, None)),
        (1e6, [Demand("video", ()), Demand("audio", ())], (None, None)),
        # The client wants less than there is: the lowest there is.
        (None, [Demand("video", (Layer(1, 1e5), Layer(2, 1e6)), wanted=0)], (1,)),
    ],
)
def test_examples(
    budget: float | None, demands: list[Demand], expected: tuple[int | None, ...]
) -> None:
    assert allocate(demands, budget).layers == expected


def test_a_higher_layer_leaves_a_reserve_and_stays_within_the_budget() -> None:
    assert allocate([video(current=0)], 520e3).layers == (0,)
    assert allocate([video(current=1)], 520e3).layers == (1,)
    assert allocate([video(current=0)], 560e3).layers == (1,)


def test_the_next_step_is_said() -> None:
    given_out = allocate([AUDIO, video(current=0)], 300e3)
    assert given_out.spent == 190e3
    assert given_out.next_step == pytest.approx(540e3 / 0.9)
    assert allocate([AUDIO, video(current=2)], None).next_step is None
    assert allocate([AUDIO], 10e3) == Allocation((0,), (False,), 40e3, None)


def live_layers(rates: list[float], missing: set[int]) -> tuple[Layer, ...]:
    rising = list(accumulate(rates))
    return tuple(Layer(n, r) for n, r in enumerate(rising) if n not in missing)


VIDEO = st.builds(
    Demand,
    kind=st.just("video"),
    layers=st.builds(
        live_layers,
        st.lists(st.floats(1e3, 2e6), min_size=1, max_size=3),
        st.sets(st.integers(0, 2), max_size=2),
    ),
    speaker=st.booleans(),
    wanted=st.one_of(st.none(), st.integers(0, 2)),
    current=st.one_of(st.none(), st.integers(0, 2)),
)
AUDIOS = st.builds(Demand, kind=st.just("audio"), layers=st.floats(1e3, 1e5).map(layers))
DEMANDS = st.lists(st.one_of(VIDEO, AUDIOS), max_size=10)
BUDGET = st.floats(0, 1e7)


def rate_of(demand: Demand, number: int | None) -> float:
    return sum(layer.bitrate for layer in demand.layers if layer.number == number)


def put_in_again(demands: list[Demand], given_out: Allocation) -> list[Demand]:
    return [
        replace(demand, current=number)
        for demand, number in zip(demands, given_out.layers, strict=True)
    ]


@given(DEMANDS, BUDGET)
def test_audio_flows_and_video_keeps_to_the_budget(demands: list[Demand], budget: float) -> None:
    given_out = allocate(demands, budget)
    pairs = list(zip(demands, given_out.layers, strict=True))
    assert all(number is not None for demand, number in pairs if demand.kind == "audio")
    assert given_out.spent == pytest.approx(sum(rate_of(*pair) for pair in pairs))
    audio = sum(rate_of(*pair) for pair in pairs if pair[0].kind == "audio")
    if given_out.spent > max(budget, audio) * (1 + 1e-9):
        # Only what was shown already, at its lowest, and by no more than half.
        assert given_out.spent <= budget * PAUSE_SHARE * (1 + 1e-9)
        for demand, number in pairs:
            if demand.kind == "video" and number is not None:
                assert number == demand.layers[0].number


@given(DEMANDS, st.one_of(st.none(), BUDGET))
def test_only_live_and_wanted_layers_are_given(demands: list[Demand], budget: float | None) -> None:
    for demand, number in zip(demands, allocate(demands, budget).layers, strict=True):
        if number is None:
            assert budget is not None or not demand.layers
            continue
        numbers = [layer.number for layer in demand.layers]
        assert number in numbers
        if demand.kind == "video" and demand.wanted is not None:
            assert number <= max(demand.wanted, numbers[0])


@given(DEMANDS, BUDGET)
def test_nothing_swings_while_nothing_changes(demands: list[Demand], budget: float) -> None:
    first = allocate(demands, budget)
    again = allocate(put_in_again(demands, first), budget)
    assert again == replace(first, spared=(False,) * len(demands))


def order(demands: list[Demand]) -> list[int]:
    videos = [n for n, demand in enumerate(demands) if demand.kind == "video"]
    return sorted(videos, key=lambda n: not demands[n].speaker)


@given(DEMANDS, BUDGET, BUDGET)
def test_more_budget_is_no_loss_for_the_first(
    demands: list[Demand], one: float, other: float
) -> None:
    """In the order of the steps: the first video that fares differently fares better."""
    less, more = (allocate(demands, b).layers for b in sorted((one, other)))
    shown = [(more[n] is not None) - (less[n] is not None) for n in order(demands)]
    assert next((step for step in shown if step), 0) >= 0
    if not any(shown):
        speakers = [n for n in order(demands) if demands[n].speaker]
        raised = [(more[n] or 0) - (less[n] or 0) for n in speakers]
        assert next((step for step in raised if step), 0) >= 0


@given(VIDEO, st.lists(AUDIOS, max_size=3), BUDGET, BUDGET)
def test_one_video_is_monotone_in_the_budget(
    demand: Demand, audios: list[Demand], one: float, other: float
) -> None:
    less, more = (allocate([*audios, demand], b).layers[-1] for b in sorted((one, other)))
    assert less is None or (more is not None and more >= less)


@given(DEMANDS, BUDGET)
def test_never_a_freeze_where_the_lowest_layer_would_fit(
    demands: list[Demand], budget: float
) -> None:
    given_out = allocate(demands, budget)
    highest_first = sum(
        rate_of(demand, number) - demand.layers[0].bitrate
        for demand, number in zip(demands, given_out.layers, strict=True)
        if number is not None
    )
    for demand, number in zip(demands, given_out.layers, strict=True):
        if number is None and demand.layers:
            without = given_out.spent - highest_first + demand.layers[0].bitrate
            assert without > budget * 0.9 * (1 - 1e-9)

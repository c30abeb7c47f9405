"""Who gets which layer within a subscriber's bandwidth. Pure.

Audio comes first and is never held back. Then, as far as the budget goes: the lowest layer of every
video, then the active speaker's higher layers, then those of the others, one step each in turn.
A step that does not fit is left out, and a smaller one behind it may still fit.

A video whose lowest layer does not fit is paused; one that is shown already is only paused when
that layer goes over the budget by half, since an estimate errs by so much and a pause is a freeze.
A layer that is not shown yet must leave a tenth of the budget free. So what comes out, put
in again, comes out again: nothing swings while nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from callfleet_engine.media.interface import Kind

RAISE_SHARE = 0.9
"""Of the budget, for a layer higher than the present one."""
PAUSE_SHARE = 1.5
"""Of the budget, for the lowest layer of a video that is shown."""


class Layer(NamedTuple):
    """A live layer of a publisher: its number, 0 the lowest, and its bit rate."""

    number: int
    bitrate: float


@dataclass(frozen=True, slots=True)
class Demand:
    """One m-line of a subscriber.

    `layers` are those that flow at this moment, lowest first, with rates that do not fall; audio
    has one. `wanted` is the highest layer that the client asked for. `current` is the number of
    the layer that it gets now, None if none.
    """

    kind: Kind
    layers: tuple[Layer, ...]
    speaker: bool = False
    wanted: int | None = None
    current: int | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """A layer's number for each demand, None where it is paused or nothing flows.

    `spared`, for each demand, says that a lower layer goes on because the one that was sent fits no
    more: a freeze that was avoided. `spent` is the rate of all. `next_step` is the least that
    `spent` would be if one more step were taken, with its reserve; None if all have what they want.
    """

    layers: tuple[int | None, ...]
    spared: tuple[bool, ...]
    spent: float
    next_step: float | None


def allocate(demands: Sequence[Demand], budget: float | None) -> Allocation:
    """Give out a budget in bit/s; None (no limit known) gives everyone what is wanted."""
    layers: list[int | None] = [None] * len(demands)
    missed: list[float] = []
    spent = 0.0
    for index, demand in enumerate(demands):
        if demand.kind == "audio" and demand.layers:
            layers[index] = demand.layers[0].number
            spent += demand.layers[0].bitrate
    for index, rank in _steps(demands):
        demand = demands[index]
        layer = demand.layers[rank]
        below = demand.layers[rank - 1] if rank else None
        if below is not None and layers[index] != below.number:
            continue
        cost = layer.bitrate - (below.bitrate if below is not None else 0.0)
        if budget is None or spent + cost <= budget * _share(demand, layer, lowest=rank == 0):
            layers[index] = layer.number
            spent += cost
        else:
            missed.append((spent + cost) / RAISE_SHARE)
    spared = tuple(map(_spared, demands, layers))
    return Allocation(tuple(layers), spared, spent, min(missed) if missed else None)


def _spared(demand: Demand, number: int | None) -> bool:
    """Not where the layer has ended, or the client wants no more."""
    current = demand.current
    return (
        number is not None
        and current is not None
        and number < current
        and any(layer.number == current for layer in demand.layers)
        and (demand.wanted is None or current <= demand.wanted)
    )


def _steps(demands: Sequence[Demand]) -> list[tuple[int, int]]:
    """(demand, rank among its layers) in the order in which they are given."""
    videos = [
        (index, _ranks(demand)) for index, demand in enumerate(demands) if demand.kind == "video"
    ]
    videos.sort(key=lambda video: not demands[video[0]].speaker)
    lowest = [(index, 0) for index, ranks in videos if ranks]
    speakers = [
        (index, rank)
        for index, ranks in videos
        if demands[index].speaker
        for rank in range(1, ranks)
    ]
    others = [
        (index, rank)
        for rank in range(1, max((ranks for _, ranks in videos), default=0))
        for index, ranks in videos
        if rank < ranks and not demands[index].speaker
    ]
    return lowest + speakers + others


def _ranks(demand: Demand) -> int:
    """How many of its layers may be given; the lowest always."""
    if demand.wanted is None:
        return len(demand.layers)
    wanted = sum(layer.number <= demand.wanted for layer in demand.layers)
    return max(wanted, min(len(demand.layers), 1))


def _share(demand: Demand, layer: Layer, *, lowest: bool) -> float:
    if demand.current is None:
        return RAISE_SHARE
    if lowest:
        return PAUSE_SHARE
    return RAISE_SHARE if layer.number > demand.current else 1.0

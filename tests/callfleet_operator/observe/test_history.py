"""Histories filled in from ranges."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from callfleet_operator.gateway.prometheus import Series
from callfleet_operator.observe.history import (
    CHUNK,
    SLOTS,
    Track,
    chunks,
    fill,
    slot_of,
    time_of,
)
from callfleet_operator.plan.seasonal import STEP

NOW = datetime(2026, 1, 1, 12, 3, tzinfo=UTC)
LAST = slot_of(NOW)
NAME = ("calls", "demo")


def row(slots: range, name: str = "demo", offset: float = 0.0) -> Series:
    """The value of each slot is its number, counted from the last one."""
    points = tuple((time_of(slot).timestamp(), LAST - slot + offset) for slot in slots)
    return Series({"namespace": "calls", "callfleet_cluster": name}, points)


def completed(tracks: dict[tuple[str, str], Track], now: datetime = NOW) -> list[range]:
    asked = []
    for slots in chunks(tracks, now):
        asked.append(slots)
        fill(tracks, slots, [row(slots), row(slots, "other")])
    return asked


def test_slots_are_whole_steps() -> None:
    assert time_of(LAST) == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert slot_of(time_of(LAST)) == LAST


def test_a_new_track_is_asked_for_piece_by_piece_and_once() -> None:
    tracks = {NAME: Track.empty(NOW)}
    asked = completed(tracks)

    assert [len(slots) for slots in asked] == [CHUNK] * (SLOTS // CHUNK)
    assert [slot for slots in asked for slot in slots] == list(range(LAST - SLOTS + 1, LAST + 1))
    history = tracks[NAME].history()
    assert history.last == time_of(LAST)
    assert list(history.values) == [float(SLOTS - 1 - at) for at in range(SLOTS)]
    assert completed(tracks) == []


def test_later_only_what_is_new_is_asked_for() -> None:
    tracks = {NAME: Track.empty(NOW)}
    completed(tracks)

    assert completed(tracks, NOW + 2 * STEP) == [range(LAST + 1, LAST + 3)]
    assert list(tracks[NAME].history().values[-3:]) == [0.0, -1.0, -2.0]
    assert tracks[NAME].history().values[0] == SLOTS - 3


def test_a_second_cluster_is_filled_without_the_first_losing_anything() -> None:
    tracks = {NAME: Track.empty(NOW)}
    completed(tracks)
    first = tracks[NAME].history()
    tracks["calls", "other"] = Track.empty(NOW)
    completed(tracks)

    assert tracks[NAME].history() == first
    assert tracks["calls", "other"].history() == first


def test_what_is_not_there_is_unknown() -> None:
    tracks = {NAME: Track.empty(NOW)}
    for slots in chunks(tracks, NOW):
        fill(tracks, slots, [])

    assert all(math.isnan(value) for value in tracks[NAME].history().values)


def test_after_a_long_absence_nothing_old_is_left() -> None:
    tracks = {NAME: Track.empty(NOW)}
    completed(tracks)
    later = NOW + 2 * SLOTS * STEP
    for slots in chunks(tracks, later):
        fill(tracks, slots, [])

    assert tracks[NAME].history().last == time_of(slot_of(later))
    assert all(math.isnan(value) for value in tracks[NAME].history().values)

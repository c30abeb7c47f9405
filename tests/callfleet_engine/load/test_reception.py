from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.load.reception import Reception


def received(numbers: list[int]) -> Reception:
    reception = Reception()
    for at, number in enumerate(numbers):
        reception.packet(number % 65536, float(at))
    return reception


@pytest.mark.parametrize(
    ("numbers", "packets", "missing", "duplicates"),
    [
        ([], 0, 0, 0),
        ([7], 1, 0, 0),
        ([7, 8, 9], 3, 0, 0),
        ([7, 9], 2, 1, 0),
        ([7, 9, 8], 3, 0, 0),
        ([7, 8, 8], 2, 0, 1),
        ([7, 9, 8, 8], 3, 0, 1),
        ([65534, 65535, 65536, 65537], 4, 0, 0),
        ([65534, 65537], 2, 2, 0),
        ([7, 6, 8], 2, 0, 0),
        ([7, 3000, 8], 2, 2992, 1),
    ],
    ids=str,
)
def test_counts(numbers: list[int], packets: int, missing: int, duplicates: int) -> None:
    reception = received(numbers)

    assert (reception.packets, reception.missing, reception.duplicates) == (
        packets,
        missing,
        duplicates,
    )


@given(
    start=st.integers(0, 65535),
    lost=st.sets(st.integers(1, 298)),
    swapped=st.sets(st.integers(1, 297)),
    repeated=st.sets(st.integers(0, 299)),
)
def test_agrees_with_a_set_of_what_came(
    start: int, lost: set[int], swapped: set[int], repeated: set[int]
) -> None:
    order = [n for n in range(300) if n not in lost]
    for index in swapped:
        if 0 < index < len(order) - 2:
            order[index], order[index + 1] = order[index + 1], order[index]
    stream = [start + n for n in order for _ in range(2 if n in repeated else 1)]

    reception = received(stream)

    assert reception.packets == len(set(stream))
    assert reception.expected == 300
    assert reception.missing == len(lost)
    assert reception.duplicates == len(stream) - len(set(stream))


def test_the_longest_gap_is_between_two_packets_that_came() -> None:
    reception = Reception()
    for number, at in ((1, 10.0), (2, 10.02), (3, 10.5), (4, 10.52)):
        reception.packet(number, at)

    assert reception.longest_gap_seconds == pytest.approx(0.48)

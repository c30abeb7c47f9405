"""Numbers go on whatever is left out, and each leads back to its packet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.numbering import MAX_SKIPPED, Numbering


def sent(numbering: Numbering, extended: int) -> int | None:
    """What the path of packets does."""
    if extended > numbering.edge:
        out = extended + numbering.offset
        numbering.sent = max(numbering.sent, out)
        return out
    return numbering.late(extended)


def test_padding_in_order_leaves_no_gap() -> None:
    numbering = Numbering(99)
    numbering.begin(10)
    assert [sent(numbering, 10), numbering.skip(11), numbering.skip(12)] == [100, True, True]
    assert sent(numbering, 13) == 101
    assert [numbering.late(11), numbering.late(12)] == [None, None]


def test_a_late_packet_has_the_number_that_was_kept_for_it() -> None:
    numbering = Numbering(99)
    numbering.begin(10)
    assert sent(numbering, 10) == 100
    assert numbering.skip(12)
    assert sent(numbering, 13) == 102
    assert sent(numbering, 11) == 101


def test_padding_that_comes_late_keeps_its_number() -> None:
    numbering = Numbering(99)
    numbering.begin(10)
    assert [sent(numbering, 10), sent(numbering, 12)] == [100, 102]
    assert not numbering.skip(11)
    assert sent(numbering, 11) == 101


def test_what_came_before_the_begin_has_no_number() -> None:
    numbering = Numbering(99)
    numbering.begin(10)
    assert [numbering.late(9), numbering.source(99)] == [None, None]


def test_memory_of_padding_is_bounded() -> None:
    numbering = Numbering(99)
    numbering.begin(0)
    for extended in range(0, 4 * MAX_SKIPPED, 2):
        sent(numbering, extended)
        assert numbering.skip(extended + 1)
    assert len(numbering._skipped) <= MAX_SKIPPED
    assert numbering.late(2) is None
    assert numbering.source(numbering.sent) == 4 * MAX_SKIPPED - 2


@given(st.data())
def test_numbers_are_one_to_one_and_leave_no_gaps(data: st.DataObject) -> None:
    """Any order of arrival, any packets that are padding, some lost."""
    count = data.draw(st.integers(1, 60))
    padding = data.draw(st.sets(st.integers(1, count - 1), max_size=count)) if count > 1 else set()
    lost = data.draw(st.sets(st.integers(1, count - 1), max_size=5)) if count > 1 else set()
    arrivals = [0, *sorted(set(range(1, count)) - lost, key=lambda n: n + data.draw(jitter))]
    numbering = Numbering(1000)
    numbering.begin(0)
    numbers: dict[int, int] = {}
    for extended in arrivals:
        if extended in padding and numbering.skip(extended):
            continue
        number = sent(numbering, extended)
        assert number is not None
        numbers[extended] = number
    in_order = sorted(numbers)
    assert sorted(numbers.values()) == [numbers[n] for n in in_order]
    assert len(set(numbers.values())) == len(numbers)
    for extended, number in numbers.items():
        assert numbering.source(number) == extended
        if extended <= numbering.edge:
            assert numbering.late(extended) == number
    gaps = in_order[-1] + 1 - len(in_order)
    assert numbers[in_order[-1]] - 1000 - len(in_order) <= gaps
    if not lost:
        assert sorted(numbers.values()) == list(range(1001, 1001 + len(numbers)))


jitter = st.integers(0, 6)

"""What was sent is remembered until feedback cannot come any more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.sent import FEEDBACK_SECONDS, FEWEST, MOST, Sent, SentPackets


def sent(count: int, *, apart: float = 0.001) -> SentPackets:
    packets = SentPackets()
    for index in range(count):
        packets.note(index * apart, 100 + index % 1000)
    return packets


def test_feedback_finds_the_time_and_the_size() -> None:
    packets = sent(3)
    first = packets.next - 3
    assert packets.reported(first + 1, arrived=True) == Sent(0.001, 101, lost=False)
    assert packets.reported(first + 1, arrived=True) is None


def test_what_was_lost_may_arrive_later() -> None:
    packets = sent(1)
    number = packets.next - 1
    assert packets.reported(number, arrived=False) == Sent(0.0, 100, lost=False)
    assert packets.reported(number, arrived=False) == Sent(0.0, 100, lost=True)
    assert packets.reported(number, arrived=True) == Sent(0.0, 100, lost=True)
    assert packets.reported(number, arrived=False) is None


def test_nothing_is_known_of_what_was_never_sent() -> None:
    packets = sent(3)
    for number in (packets.next, packets.next + MOST, packets.next - 4, packets.next - 1 - MOST):
        assert packets.reported(number, arrived=True) is None


def test_a_slow_stream_takes_the_least_memory() -> None:
    assert len(sent(10 * FEWEST, apart=2 * FEEDBACK_SECONDS / FEWEST)) == FEWEST


def test_a_fast_one_has_room_for_the_time_of_feedback_and_no_more_than_the_most() -> None:
    packets = sent(3 * FEWEST)
    assert len(packets) == 4 * FEWEST
    first = packets.next - 3 * FEWEST
    for index in range(3 * FEWEST):
        found = packets.reported(first + index, arrived=True)
        assert found == Sent(index * 0.001, 100 + index % 1000, lost=False)
    assert len(sent(3 * MOST, apart=1e-6)) == MOST


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 1), st.booleans()), max_size=20))
def test_packets_are_kept_while_feedback_of_them_may_come(
    rounds: list[tuple[int, float, bool]],
) -> None:
    packets, now = SentPackets(), 10.0
    noted: dict[int, float] = {}
    for count, passed, arrived in rounds:
        now += passed
        for _ in range(count):
            noted[packets.next] = now
            packets.note(now, 1200)
        recent = [n for n, at in noted.items() if now - at < FEEDBACK_SECONDS]
        for number in recent[::7]:
            found = packets.reported(number, arrived=arrived)
            assert found is not None
            assert (found.time, found.size) == (noted[number], 1200)
            if arrived:
                del noted[number]

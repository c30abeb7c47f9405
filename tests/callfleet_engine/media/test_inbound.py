from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.inbound import (
    MAX_MISSING,
    MAX_NACK_TRIES,
    MIN_RETRY_SECONDS,
    NACK_RETRY_SECONDS,
    InboundStream,
)


def receive(stream: InboundStream, *sequences: int) -> list[int]:
    return [stream.add(s & 0xFFFF, s * 100, s * 0.01, 50) - 0x10000 for s in sequences]


@given(st.integers(0, 0xFFFF), st.integers(1, 300), st.integers(1, 2000))
def test_numbers_extend_across_wraps(first: int, steps: int, stride: int) -> None:
    stream = InboundStream(90000)
    numbers = range(first, first + steps * stride, stride)
    assert receive(stream, *numbers) == list(numbers)
    assert stream.packets_lost == (stride - 1) * (steps - 1)


def test_a_late_packet_is_no_loss() -> None:
    stream = InboundStream(90000)
    assert receive(stream, 10, 12, 11, 9) == [10, 12, 11, 9]
    assert (stream.packets_expected, stream.packets_lost) == (4, 0)
    assert not stream.has_missing


def test_fraction_lost_is_of_the_interval() -> None:
    stream = InboundStream(90000)
    receive(stream, 0, 1, 2, 3)
    assert stream.fraction_lost() == 0
    receive(stream, 7)  # three of four are missing
    assert stream.fraction_lost() == 192
    assert stream.fraction_lost() == 0


def test_a_loss_is_counted_once() -> None:
    stream = InboundStream(90000)
    receive(stream, 0, 5)
    assert stream.newly_lost() == 4
    receive(stream, 1)
    assert stream.newly_lost() == 0
    receive(stream, 7)
    assert stream.newly_lost() == 0  # one lost, one came late
    receive(stream, 9)
    assert stream.newly_lost() == 1


def test_jitter_follows_rfc_3550() -> None:
    stream = InboundStream(8000)
    for index in range(200):
        late = 0.005 if index % 2 else 0.0
        stream.add(index, index * 160, index * 0.02 + late, 160)
    assert 0.0045 < stream.jitter_seconds < 0.0055
    assert stream.jitter_units == int(stream.jitter_seconds * 8000)


def test_even_arrival_is_no_jitter_across_a_timestamp_wrap() -> None:
    stream = InboundStream(90000)
    for index in range(100):
        stream.add(index, (0xFFFFFF00 + index * 900) & 0xFFFFFFFF, index * 0.01, 100)
    assert stream.jitter_seconds < 1e-6


def test_a_missing_packet_is_asked_for_a_few_times() -> None:
    stream = InboundStream(90000)
    receive(stream, 0, 3)
    now = 0.03
    asked = []
    for _ in range(MAX_NACK_TRIES + 2):
        asked.append(stream.nack(now))
        assert stream.nack(now + NACK_RETRY_SECONDS / 2) == []
        now += NACK_RETRY_SECONDS * 1.01
    assert asked == [[1, 2]] * MAX_NACK_TRIES + [[], []]
    assert not stream.has_missing


def test_a_loss_too_long_to_repair_is_not_asked_for() -> None:
    stream = InboundStream(90000)
    receive(stream, 0, 2, 2 + MAX_MISSING + 1)
    assert not stream.has_missing
    assert stream.packets_lost == 1 + MAX_MISSING


@given(st.lists(st.integers(0, 0xFFFF), max_size=60))
def test_what_is_missing_is_bounded(sequences: list[int]) -> None:
    stream = InboundStream(90000)
    for sequence in sequences:
        stream.add(sequence, 0, 0.0, 1)
    assert len(stream.nack(1.0)) <= MAX_MISSING


def test_who_answers_soon_is_asked_again_soon() -> None:
    stream = InboundStream(90000)
    stream.add(0, 0, 0.0, 50)
    now = 0.0
    for sequence in range(2, 100, 2):
        stream.add(sequence, sequence, now, 50)
        stream.nack(now)
        stream.add(sequence - 1, sequence, now + 0.02, 50)
        now += 0.1
    stream.add(200, 200, now, 50)
    assert stream.nack(now)
    assert stream.nack(now + MIN_RETRY_SECONDS * 0.9) == []
    assert stream.nack(now + NACK_RETRY_SECONDS / 2)


def test_what_comes_by_rtx_repairs_and_stays_reported_as_lost() -> None:
    stream = InboundStream(90000)
    receive(stream, 65535, 65536, 65539)
    assert stream.recover(1, 1.0) == 0x20001
    assert stream.recover(1, 1.0) is None
    assert stream.recover(0, 1.0) is None
    assert stream.recover(9, 1.0) is None
    assert (stream.packets_lost, stream.nack(2.0)) == (2, [2])

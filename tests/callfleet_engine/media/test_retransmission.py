"""What is kept to be sent again, how it is wrapped, and what it may cost."""

from __future__ import annotations

import contextlib

import pytest
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unwrap_rtx
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtp
from callfleet_engine.media.packet import (
    GENERATION_PACKETS,
    GENERATION_TICKS,
    GENERATIONS,
    PacketRing,
)
from callfleet_engine.media.retransmission import (
    BUDGET_BYTES,
    BUDGET_FLOOR_BYTES,
    BUDGET_SHARE,
    MIN_REPEAT_SECONDS,
    PADDING_BYTES,
    REPEATS_REMEMBERED,
    RetransmissionBudget,
    RtxStream,
    unwrap,
)
from tests.callfleet_engine.media.packets import stored

BLOCK = b"\xbe\xde\0\1" + rtp.abs_send_time_element(3, 1.5)


def media(sequence: int, payload: bytes, *, block: bytes = b"", marker: int = 0) -> bytes:
    first = 0x80 | (rtp.EXTENSION if block else 0)
    return rtp.HEADER.pack(first, marker | 97, sequence, 1234, 77) + block + payload


# the ring


@given(st.lists(st.integers(1, 3), max_size=1200), st.sets(st.integers(0, 1200), max_size=20))
def test_a_ring_is_bounded_and_keeps_the_latest(steps: list[int], ticks: set[int]) -> None:
    ring, numbers = PacketRing(), [0]
    for index, step in enumerate(steps):
        numbers.append(numbers[-1] + step)
        ring.store(stored(numbers[-1], b"payload"))
        if index in ticks:
            ring.tick()
    kept = (GENERATIONS - 1) * GENERATION_PACKETS
    if len(ticks) < GENERATION_TICKS:
        assert all(ring.find(number) is not None for number in numbers[1:][-kept:])
    gone = len(numbers) - GENERATIONS * GENERATION_PACKETS
    assert all(ring.find(number) is None for number in numbers[: max(gone, 0)])
    assert ring.find(numbers[-1] + 1) is None


def test_a_ring_keeps_a_packet_for_a_second_at_least_and_two_at_most() -> None:
    ring = PacketRing()
    for before in range(GENERATION_TICKS):
        ring.store(stored(before, b"payload"))
        for tick in range(20):
            ring.tick()
            if tick < 9:
                assert ring.find(before) is not None
        assert ring.find(before) is None


# RTX


@given(st.integers(0, 0xFFFF), st.binary(max_size=40), st.booleans(), st.sampled_from([b"", BLOCK]))
def test_what_is_wrapped_is_unwrapped_again(
    sequence: int, payload: bytes, marker: bool, block: bytes
) -> None:
    packet = media(sequence, payload, block=block, marker=rtp.MARKER if marker else 0)
    stream = RtxStream(ssrc=88, payload_types={97: 98}, sequence=0xFFFF)
    wrapped = stream.wrap(packet)
    assert wrapped is not None
    assert unwrap(wrapped, payload_type=97, ssrc=77) == packet
    theirs = RtpPacket.parse(wrapped)
    assert (theirs.ssrc, theirs.payload_type, theirs.sequence_number) == (88, 98, 0)
    original = unwrap_rtx(theirs, payload_type=97, ssrc=77)
    assert (original.sequence_number, original.payload) == (sequence, payload)


def test_a_payload_type_without_rtx_is_not_wrapped() -> None:
    assert RtxStream(ssrc=88, payload_types={99: 100}, sequence=0).wrap(media(1, b"x")) is None


def test_padding_is_padding_alone() -> None:
    stream = RtxStream(ssrc=88, payload_types={97: 98}, sequence=5)
    packet = stream.padding(4321)
    assert len(packet) == 12 + PADDING_BYTES
    parsed = RtpPacket.parse(packet, HeaderExtensionsMap())
    assert (parsed.payload, parsed.padding_size, parsed.timestamp) == (b"", PADDING_BYTES, 4321)
    assert unwrap(packet, payload_type=97, ssrc=77) is None


def test_padding_behind_an_rtx_payload_is_taken_off() -> None:
    packet = rtp.HEADER.pack(0xA0, 98, 1, 1234, 88) + b"\x00\x07payload" + b"\0\0\3"
    assert unwrap(packet, payload_type=97, ssrc=77) == media(7, b"payload")


@pytest.mark.parametrize("length", [200, 16])
def test_padding_longer_than_the_packet_is_refused(length: int) -> None:
    packet = rtp.HEADER.pack(0xA0, 98, 1, 1234, 88) + b"\0\7x" + bytes([length])
    with pytest.raises(ValueError, match="padding"):
        unwrap(packet, payload_type=97, ssrc=77)


@given(st.binary(min_size=12, max_size=60))
def test_any_bytes_are_unwrapped_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        unwrap(data, payload_type=97, ssrc=77)


# the budget


def test_a_packet_goes_again_once_in_half_a_round_trip() -> None:
    budget = RetransmissionBudget()
    times = (0.0, 0.04, 0.06, 0.1)
    assert [budget.take(1, 5, 100, round_trip=0.1, now=t) for t in times] == [
        True,
        False,
        True,
        False,
    ]
    assert budget.take(1, 6, 100, round_trip=0.1, now=0.1)
    assert budget.take(2, 5, 100, round_trip=0.1, now=0.1)
    assert not budget.take(2, 5, 100, round_trip=0.0, now=0.1 + MIN_REPEAT_SECONDS / 2)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("earn"), st.integers(0, 1500)),
            st.tuples(st.just("take"), st.integers(0, 1500)),
            st.tuples(st.just("tick"), st.just(0)),
        ),
        max_size=300,
    )
)
def test_whoever_asks_gets_no_more_than_the_share(events: list[tuple[str, int]]) -> None:
    budget = RetransmissionBudget()
    earned, taken, ticks = 0, 0, 0
    for number, (event, size) in enumerate(events):
        if event == "earn":
            budget.earn(size)
            earned += size
        elif event == "tick":
            budget.tick()
            ticks += 1
        elif budget.take(1, number, size, round_trip=0.1, now=number):
            taken += size
        assert taken <= BUDGET_SHARE * earned + BUDGET_FLOOR_BYTES * (ticks + 1)
        assert budget._left <= BUDGET_BYTES
        assert len(budget._last) <= REPEATS_REMEMBERED

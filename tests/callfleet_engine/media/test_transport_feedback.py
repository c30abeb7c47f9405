"""Transport-wide feedback: read, written, and gathered from what arrives."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from aiortc.rtp import RtcpRrPacket
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtcp
from callfleet_engine.media.transport_feedback import (
    HISTORY_PACKETS,
    MAX_GAP,
    MAX_MESSAGES,
    MAX_READ,
    MAX_WRITTEN,
    ArrivalRecorder,
    TransportFeedback,
    pack,
    parse,
    unwrapped,
    write,
)

FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> bytes:
    """Hexadecimal text; a line from # on is a remark."""
    lines = (FIXTURES / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines))


EXPECTED = {
    "one-packet-padded": TransportFeedback(153, 4057090, 23, (148,)),
    "two-bit-vector": TransportFeedback(
        3, -5, 1, (8, None, -12, None, 488, 489, None, 489, None, None)
    ),
    "one-bit-vector": TransportFeedback(
        65530, 100, 255, (0, None, 4, 4, None, 9, 9, 9, 9, 9, None, 19, None, 24)
    ),
    "run-lengths": TransportFeedback(0, 1, 0, (*([None] * 20), *range(2, 42, 2))),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_fixtures_are_read(name: str) -> None:
    assert rtcp.parse(fixture(name)) == [EXPECTED[name]]


@pytest.mark.parametrize("name", EXPECTED)
def test_fixtures_are_written_as_they_were_read(name: str) -> None:
    [message] = rtcp.parse(pack(EXPECTED[name], sender_ssrc=1, media_ssrc=2))
    assert message == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_truncated_messages_are_refused(name: str) -> None:
    body = fixture(name)[12:]
    needed = len(write(EXPECTED[name]).rstrip(b"\0"))
    for length in range(needed):
        with pytest.raises(ValueError, match="truncated"):
            parse(body[:length])


@pytest.mark.parametrize(
    ("fci", "message"),
    [
        ("0001 0000 000001 00", "speaks of 0 packets"),
        ("0001 ffff 000001 00 3fff", "speaks of 65535 packets"),
        ("0001 0001 000001 00 6001", "reserved"),
        ("0001 0003 000001 00 0000", "truncated in its status chunks"),
    ],
)
def test_what_cannot_be_is_refused(fci: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(bytes.fromhex(fci))


ARRIVALS = st.lists(
    st.one_of(st.none(), st.integers(-0x8000, 0x7FFF), st.integers(0, 0xFF)),
    min_size=1,
    max_size=200,
).map(lambda deltas: tuple(accumulated(deltas)))


def accumulated(deltas: list[int | None]) -> list[int | None]:
    time, found = 0, list[int | None]()
    for delta in deltas:
        time += delta or 0
        found.append(None if delta is None else time)
    return found


@given(
    st.integers(0, 0xFFFF),
    st.integers(-(1 << 23), (1 << 23) - 1),
    st.integers(0, 255),
    ARRIVALS,
)
def test_what_is_written_is_read_again(
    base: int, reference: int, count: int, arrivals: tuple[int | None, ...]
) -> None:
    feedback = TransportFeedback(base, reference, count, arrivals)
    data = write(feedback)
    assert len(data) % 4 == 0
    assert parse(data) == feedback


def test_long_runs_are_short() -> None:
    message = TransportFeedback(0, 0, 0, (*([None] * MAX_READ), *range(8)))
    with pytest.raises(ValueError, match="speaks of"):
        parse(write(message))
    assert len(write(TransportFeedback(0, 0, 0, (None,) * MAX_READ))) == 12


def test_a_delta_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write(TransportFeedback(0, 0, 0, (0, 0x8000)))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert len(parse(data).arrivals) <= MAX_READ
    with contextlib.suppress(ValueError):
        rtcp.parse(b"\x8f\xcd" + (len(data) // 4).to_bytes(2, "big") + data)


def test_it_stands_beside_other_packets() -> None:
    report = bytes(RtcpRrPacket(ssrc=7))
    packets = rtcp.parse(report + fixture("one-packet-padded") + report)
    assert [type(p) for p in packets] == [RtcpRrPacket, TransportFeedback, RtcpRrPacket]


@pytest.mark.parametrize(
    "data", ["8f", "8fcd0005", "4fcd0000", "afcd000100000000", "80c80001ffffffff", "80c80000"]
)
def test_a_malformed_compound_packet_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"RTCP|truncated"):
        rtcp.parse(bytes.fromhex(data))


@given(st.integers(0x8000, 1 << 40), st.integers(-0x7FFF, 0x7FFF))
def test_numbers_unwrap_to_the_nearest(near: int, distance: int) -> None:
    assert unwrapped((near + distance) & 0xFFFF, near) == near + distance


# the recorder


def told(recorder: ArrivalRecorder) -> dict[int, float | None]:
    """Arrival in seconds by number, over all messages; every message survives the wire."""
    found: dict[int, float | None] = {}
    for message in recorder.messages():
        assert parse(write(message)) == message
        for index, arrival in enumerate(message.arrivals):
            number = (message.base_sequence + index) & 0xFFFF
            found[number] = (
                None if arrival is None else message.reference_time * 0.064 + arrival / 4000
            )
    return found


def test_arrivals_are_told_once_with_their_times() -> None:
    recorder = ArrivalRecorder()
    for number, arrival in ((65534, 10.0), (65535, 10.01), (1, 10.03)):
        recorder.record(number, arrival)
    found = told(recorder)
    assert [(n, None if t is None else round(t, 3)) for n, t in found.items()] == [
        (65534, 10.0),
        (65535, 10.01),
        (0, None),
        (1, 10.03),
    ]
    assert told(recorder) == {}
    recorder.record(4, 10.1)
    assert list(told(recorder)) == [2, 3, 4]


def test_a_late_packet_is_told_with_those_around_it() -> None:
    recorder = ArrivalRecorder()
    for number in (1, 2, 4):
        recorder.record(number, 5.0)
    assert told(recorder)[3] is None
    recorder.record(3, 5.2)
    recorder.record(5, 5.3)
    assert all(arrival is not None for arrival in told(recorder).values())


def test_a_duplicate_keeps_its_first_arrival() -> None:
    recorder = ArrivalRecorder()
    recorder.record(1, 5.0)
    recorder.record(1, 9.0)
    assert told(recorder) == {1: pytest.approx(5.0)}


def test_a_pause_starts_a_message_of_its_own() -> None:
    recorder = ArrivalRecorder()
    recorder.record(1, 5.0)
    recorder.record(2, 20.0)
    assert [len(m.arrivals) for m in recorder.messages()] == [1, 1]


def test_a_jump_of_the_numbers_is_not_told_as_loss() -> None:
    recorder = ArrivalRecorder()
    for number in (1, 2 + MAX_GAP, 3 + 3 * MAX_GAP):
        recorder.record(number, 5.0)
    assert [(m.base_sequence, len(m.arrivals)) for m in recorder.messages()] == [
        (1, MAX_GAP + 2),
        (3 + 3 * MAX_GAP, 1),
    ]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 1e6)), max_size=300))
def test_whatever_arrives_messages_are_bounded_and_valid(arrivals: list[tuple[int, float]]) -> None:
    recorder = ArrivalRecorder()
    for number, arrival in arrivals:
        recorder.record(number, arrival)
    assert len(recorder._arrivals) <= len(arrivals)
    messages = recorder.messages()
    assert len(messages) <= MAX_MESSAGES
    for message in messages:
        assert len(message.arrivals) <= MAX_WRITTEN
        assert parse(write(message)) == message


def test_memory_is_bounded() -> None:
    recorder = ArrivalRecorder()
    for number in range(0, 40 * HISTORY_PACKETS, MAX_GAP // 50):
        recorder.record(number & 0xFFFF, number / 1000)
        if number % 4096 == 0:
            recorder.messages()
    recorder.messages()
    assert len(recorder._arrivals) <= HISTORY_PACKETS

"""What comes from a publisher is noted, and what came again is turned back into what was lost."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtcp, rtp
from callfleet_engine.media.ingress import ABS_SEND_TIME_UNITS, MAX_NOTED, MAX_RTX_SSRCS, Ingress
from callfleet_engine.media.retransmission import RtxStream
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.transport_feedback import TransportFeedback
from tests.callfleet_engine.media.paths import Path

MID_ID, RID_ID, REPAIRED_ID, NUMBER_ID, TIME_ID = 1, 10, 11, 4, 3
MEDIA, RTX = 77, 88
PT, RTX_PT = 96, 97


def ingress(*, numbered: bool = True, pairs: dict[int, int] | None = None) -> Ingress:
    made = Ingress(9, lambda mid, rid: {("1", "h"): MEDIA}.get((mid, rid)))
    extensions = {
        rtp.MID_URI: MID_ID,
        rtp.REPAIRED_RID_URI: REPAIRED_ID,
        rtp.ABS_SEND_TIME_URI: TIME_ID,
    }
    if numbered:
        extensions[rtp.TRANSPORT_NUMBER_URI] = NUMBER_ID
    media = NegotiatedMedia("1", "video", False, True, (), extensions, {RTX_PT: PT})
    made.negotiated([media], pairs or {})
    return made


def packet(sequence: int, *elements: tuple[int, bytes], ssrc: int = MEDIA) -> bytes:
    block = b"".join(bytes([found << 4 | len(value) - 1]) + value for found, value in elements)
    block += bytes(-len(block) % 4)
    extension = b"\xbe\xde" + (len(block) // 4).to_bytes(2, "big") + block
    return rtp.HEADER.pack(0x90, PT, sequence & 0xFFFF, 900, ssrc) + extension + b"payload"


def again(original: bytes, ssrc: int = RTX) -> bytes:
    wrapped = RtxStream(ssrc, {PT: RTX_PT}, 5).wrap(original)
    assert wrapped is not None
    return wrapped


def number(value: int) -> tuple[int, bytes]:
    return NUMBER_ID, value.to_bytes(2, "big")


def test_arrivals_are_fed_back_across_streams() -> None:
    made = ingress(pairs={RTX: MEDIA})
    made.received(packet(1, number(7)), 1.0)
    made.received(again(packet(1, number(9))), 1.02)
    [message] = made.tick(1.1)
    [feedback] = rtcp.parse(message)
    assert isinstance(feedback, TransportFeedback)
    assert feedback.base_sequence == 7
    assert [a is not None for a in feedback.arrivals] == [True, False, True]
    assert made.tick(1.2) == []
    assert made.estimate is None


def test_what_came_again_is_the_packet_that_was_lost() -> None:
    made = ingress(pairs={RTX: MEDIA})
    original = packet(4711)
    assert made.received(again(original), 1.0) == (original, True)
    assert made.received(original, 1.0) == (original, False)


def test_an_rtx_stream_is_known_by_the_rid_that_it_names() -> None:
    made = ingress()
    named = packet(1, (MID_ID, b"1"), (REPAIRED_ID, b"h"))
    assert made.received(again(packet(1)), 1.0) is None
    assert made.received(again(named), 1.0) == (named, True)
    assert made.received(again(packet(2)), 1.0) == (packet(2), True)
    made.forget(MEDIA)
    assert made.received(again(packet(3)), 1.0) is None
    unknown = packet(1, (MID_ID, b"1"), (REPAIRED_ID, b"x"))
    assert made.received(again(unknown), 1.0) is None


def test_padding_is_noted_and_goes_no_further() -> None:
    made = ingress(pairs={RTX: MEDIA})
    padding = RtxStream(RTX, {PT: RTX_PT}, 5).padding(0)
    assert made.received(rtp.with_short_element(padding, NUMBER_ID, 3), 1.0) is None
    assert len(made.tick(1.1)) == 1


def test_rtx_streams_are_bounded() -> None:
    made = ingress()
    named = packet(1, (MID_ID, b"1"), (REPAIRED_ID, b"h"))
    taken = [made.received(again(named, ssrc=ssrc), 1.0) for ssrc in range(100, 140)]
    assert sum(found is not None for found in taken) == MAX_RTX_SSRCS


@pytest.mark.parametrize(("capacity", "limited"), [(300e3, True), (20e6, False)])
def test_without_numbers_the_engine_estimates_itself(capacity: float, limited: bool) -> None:
    made, path, now = ingress(numbered=False), Path(capacity=capacity), 0.0
    coming: list[tuple[float, bytes]] = []
    for sequence in range(600):
        now += 0.01
        stamp = int((now + 60) * ABS_SEND_TIME_UNITS) & 0xFFFFFF
        data = packet(sequence, (TIME_ID, stamp.to_bytes(3, "big"))) + bytes(1000)
        arrived = path.arrival(now, len(data))
        if arrived is not None:
            coming.append((arrived, data))
        while coming and coming[0][0] <= now:
            made.received(coming[0][1], coming[0][0])
            del coming[0]
        if sequence % 10 == 0:
            assert made.tick(now) == []
    assert (made.estimate is not None) == limited
    if made.estimate is not None:
        assert 150e3 < made.estimate < 330e3


def test_what_is_noted_between_ticks_is_bounded() -> None:
    made = ingress(numbered=False)
    for sequence in range(3 * MAX_NOTED):
        made.received(packet(sequence, (TIME_ID, b"\0\1\2")), 1.0)
    assert len(made._noted) == MAX_NOTED


@given(st.lists(st.binary(min_size=12, max_size=60), max_size=20), st.booleans())
def test_any_bytes_are_taken_or_refused(packets: list[bytes], numbered: bool) -> None:
    made = ingress(numbered=numbered, pairs={RTX: MEDIA})
    for data in packets:
        with contextlib.suppress(ValueError):
            made.received(data, 1.0)
    for message in made.tick(1.1):
        rtcp.parse(message)

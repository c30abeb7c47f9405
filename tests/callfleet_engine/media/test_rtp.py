from __future__ import annotations

import contextlib

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtp

MID, LEVEL, TIME, NUMBER = 4, 1, 3, 6


def extensions_map() -> HeaderExtensionsMap:
    extensions = HeaderExtensionsMap()
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=MID, uri=rtp.MID_URI),
                RTCRtpHeaderExtensionParameters(id=LEVEL, uri=rtp.AUDIO_LEVEL_URI),
                RTCRtpHeaderExtensionParameters(id=TIME, uri=rtp.ABS_SEND_TIME_URI),
                RTCRtpHeaderExtensionParameters(id=NUMBER, uri=rtp.TRANSPORT_NUMBER_URI),
            ]
        )
    )
    return extensions


@given(
    payload=st.binary(max_size=64),
    csrc=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    mid=st.one_of(st.none(), st.text("abcdef0123", min_size=1, max_size=24)),
    level=st.one_of(st.none(), st.integers(0, 127)),
)
def test_payload_and_extensions_are_found_as_aiortc_wrote_them(
    payload: bytes, csrc: list[int], mid: str | None, level: int | None
) -> None:
    packet = RtpPacket(payload_type=96, payload=payload)
    packet.csrc = csrc
    packet.extensions = HeaderExtensions(
        mid=mid, audio_level=None if level is None else (False, level)
    )
    data = packet.serialize(extensions_map())
    assert data[rtp.payload_offset(data) :] == payload
    assert rtp.extension(data, MID) == (None if mid is None else mid.encode())
    assert rtp.extension(data, LEVEL) == (None if level is None else bytes([level]))
    assert rtp.extension(data, 9) is None


@given(st.binary(min_size=12, max_size=48), st.integers(1, 14))
def test_any_packet_is_read_or_refused(data: bytes, identifier: int) -> None:
    with contextlib.suppress(ValueError):
        assert rtp.payload_offset(data) <= len(data)
        found = rtp.extension(data, identifier)
        assert found is None or found in data
    with contextlib.suppress(ValueError):
        assert len(rtp.renumber_extensions(data, {identifier: 5})) == len(data)


@given(st.binary(max_size=24), st.sampled_from([b"\xbe\xde", b"\x10\x00", b"\xbe\xdf", b"\0\0"]))
def test_what_is_passed_on_is_what_is_there(block: bytes, profile: bytes) -> None:
    """Of any block, whole or not, in either form."""
    header = rtp.HEADER.pack(0x90, 96, 1, 1, 1)
    data = header + profile + (len(block) // 4).to_bytes(2, "big") + block
    numbers = {found: 15 - found for found in range(1, 15)}
    try:
        expected = [(15 - i, v) for i, v in rtp.elements(data) if i in numbers and 0 < len(v) <= 16]
    except ValueError:
        with pytest.raises(ValueError, match="truncated"):
            rtp.mapped(data, numbers)
        return
    passed = rtp.mapped(data, numbers)
    again = header + b"\xbe\xde" + b"\0\x20" + passed.ljust(128, b"\0")
    assert list(rtp.elements(again)) == expected


@pytest.mark.parametrize(
    "tail",
    [
        b"\xbe\xde\x00",
        b"\xbe\xde\x00\x02\x10\x00\x00\x00",
        b"\xbe\xde\x00\x01\x1f\x00\x00\x00",
        b"\x10\x00\x00\x01\x00\x00\x00\x01",
    ],
)
def test_truncated_extensions_are_refused(tail: bytes) -> None:
    data = b"\x90\x60" + bytes(10) + tail
    with pytest.raises(ValueError, match="truncated"):
        rtp.extension(data, 1)


def numbered(*elements: bytes) -> tuple[bytes, bytes]:
    """A packet before and behind its transport-wide number."""
    block = b"".join(elements)
    words = 1 + len(block) // 4
    head = rtp.HEAD.pack(0x90, 96, 7, 8, 9, rtp.ONE_BYTE, words, NUMBER << 4 | 1)
    return head, b"\0" + block + b"payload"


@pytest.mark.parametrize("number", [0, 0xFFFF])
@pytest.mark.parametrize("level", [b"", rtp.audio_level_element(LEVEL, 0x85)])
@pytest.mark.parametrize("stamp", [b"", rtp.abs_send_time_element(TIME, 65.5)])
def test_elements_are_read_back_by_aiortc(number: int, level: bytes, stamp: bytes) -> None:
    head, tail = numbered(stamp, level)
    for data, expected in (
        (head + rtp.NUMBER.pack(number) + tail, number),
        (rtp.without_number(head, tail), None),
    ):
        packet = RtpPacket.parse(data, extensions_map())
        assert packet.extensions.transport_sequence_number == expected
        assert packet.extensions.audio_level == ((True, 5) if level else None)
        seconds = int(1.5 * 2**18) if stamp else None  # modulo 64
        assert packet.extensions.abs_send_time == seconds
        assert (packet.sequence_number, packet.timestamp, packet.ssrc) == (7, 8, 9)
        assert packet.payload == b"payload"


def test_a_number_is_added_as_it_was_taken_away() -> None:
    head, tail = numbered(rtp.audio_level_element(LEVEL, 5))
    again = rtp.with_short_element(rtp.without_number(head, tail), NUMBER, 0xABCD)
    assert again == head + b"\xab\xcd" + tail

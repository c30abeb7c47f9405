"""What Chromium 156 sends in each codec, recorded: one layer of a simulcast, from its start.

`packets/CODEC.hex` has an RTP packet a line; video payloads are cut after 24 bytes.
"""

from __future__ import annotations

import contextlib
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from callfleet_engine.media import rtp
from callfleet_engine.media.codecs import READERS, red
from callfleet_engine.media.codecs.payload import Payload

PACKETS = Path(__file__).with_name("packets")
IN_KEYFRAMES = {
    "vp8": b"\x9d\x01\x2a",  # RFC 6386 section 9.1
    "vp9": b"\x49\x83\x42",  # VP9 bitstream specification, section 7.2
    "h264": b"\x67\x42",  # sequence parameters of a baseline profile
    "av1": b"\x0b\x08\x00\x00\x00",  # a sequence header OBU of eleven bytes
}
AV1_SEQUENCE = 0x08


def recorded(name: str) -> list[bytes]:
    return [bytes.fromhex(line) for line in (PACKETS / f"{name}.hex").read_text().split()]


def payloads(name: str) -> list[tuple[int, bytes]]:
    """Timestamp and payload of each packet that is more than padding."""
    return [
        (rtp.HEADER.unpack_from(data)[3], data[rtp.payload_offset(data) :])
        for data in recorded(name)
        if not data[0] & rtp.PADDING
    ]


def read(name: str, payload: bytes) -> Payload:
    return READERS[f"video/{name}"](payload)


@pytest.mark.parametrize("name", sorted(IN_KEYFRAMES))
def test_decoding_starts_where_a_keyframe_does(name: str) -> None:
    found = [
        (read(name, payload).starts, IN_KEYFRAMES[name] in payload[:20])
        for _, payload in payloads(name)
    ]
    assert [starts for starts, _ in found] == [key for _, key in found]
    assert {starts for starts, _ in found} == {True, False}


@pytest.mark.parametrize("name", ["vp8", "vp9"])
def test_picture_ids_count_the_frames(name: str) -> None:
    frames = [
        {read(name, payload).marks.picture for _, payload in group}  # type: ignore[union-attr]
        for _, group in groupby(payloads(name), key=lambda each: each[0])
    ]
    assert all(len(numbers) == 1 for numbers in frames)
    pictures = [number for numbers in frames for number in numbers]
    assert len(pictures) > 20
    assert all(b - a == 1 for a, b in pairwise(pictures))


@pytest.mark.parametrize("name", sorted(IN_KEYFRAMES))
def test_the_layer_is_named_at_first(name: str) -> None:
    values = dict(rtp.elements(recorded(name)[0]))
    assert values[4] == b"1"
    assert values[10] in {b"q", b"h"}


@pytest.mark.parametrize("name", sorted(IN_KEYFRAMES))
def test_a_truncated_payload_is_refused_or_read_alike(name: str) -> None:
    for _, payload in payloads(name):
        whole = read(name, payload)
        with pytest.raises(ValueError, match="truncated"):
            read(name, b"")
        for length in range(1, len(payload)):
            with contextlib.suppress(ValueError):
                assert read(name, payload[:length]).marks in {whole.marks, None}


def test_redundant_audio_is_read() -> None:
    found = payloads("red")
    assert found
    for (_, before), (_, payload) in pairwise(found):
        # Each carries the one before it again.
        assert red.primary(before) in payload
        changed = red.with_payload_type(payload, 96)
        assert red.primary(changed) == red.primary(payload)
        assert changed[0] == 0x80 | 96
        assert (changed[1:4], changed[4], changed[5:]) == (payload[1:4], 96, payload[5:])

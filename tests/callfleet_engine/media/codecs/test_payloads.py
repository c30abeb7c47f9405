"""Payloads written by hand, and any bytes at all."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.codecs import READERS, av1, h264, red, vp8, vp9
from callfleet_engine.media.codecs.payload import Marks, Shift, following, shifted

KEYFRAME, INTERFRAME = b"\x00", b"\x01"
numbers7, numbers15 = st.integers(0, 0x7F), st.integers(0, 0x7FFF)
byte = st.integers(0, 0xFF)


def picture_bytes(picture: int, long: bool) -> bytes:
    return bytes([0x80 | picture >> 8, picture & 0xFF]) if long else bytes([picture])


@given(st.binary(max_size=40))
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    for read in READERS.values():
        with contextlib.suppress(ValueError):
            found = read(payload)
            if found.marks is not None:
                assert len(shifted(payload, 0, found.marks, Shift(1, 1, 1))) == len(payload)
    with contextlib.suppress(ValueError):
        assert len(red.with_payload_type(payload, 96)) == len(payload)
        assert payload.endswith(red.primary(payload))


@given(
    start=st.booleans(),
    partition=st.integers(0, 7),
    picture=st.one_of(st.none(), numbers7, numbers15),
    base=st.one_of(st.none(), byte),
    key=st.one_of(st.none(), st.integers(0, 31)),
    temporal=st.booleans(),
    interframe=st.booleans(),
    before=st.binary(max_size=8),
    shift=st.tuples(*[st.integers(-(2**20), 2**20)] * 3),
)
def test_vp8_is_read_and_moved_on(
    *,
    start: bool,
    partition: int,
    picture: int | None,
    base: int | None,
    key: int | None,
    temporal: bool,
    interframe: bool,
    before: bytes,
    shift: tuple[int, int, int],
) -> None:
    long = picture is not None and picture > 0x7F
    present = (
        (0x80 if picture is not None else 0)
        | (0x40 if base is not None else 0)
        | (0x20 if temporal else 0)
        | (0x10 if key is not None else 0)
    )
    descriptor = bytes([0x80 | (0x10 if start else 0) | partition, present])
    if picture is not None:
        descriptor += picture_bytes(picture, long)
    if base is not None:
        descriptor += bytes([base])
    if temporal or key is not None:
        descriptor += bytes([0x60 | (key or 0)])
    payload = descriptor + (INTERFRAME if interframe else KEYFRAME) + b"rest"

    found = vp8.read(payload)
    assert found.starts is (start and partition == 0 and not interframe)
    if (picture, base, key) == (None, None, None):
        assert found.marks is None
        return
    marks = found.marks
    assert marks is not None
    assert (marks.picture, marks.base, marks.key) == (picture or 0, base or 0, key or 0)

    moved = shifted(before + payload, len(before), marks, Shift(*shift))
    assert moved.startswith(before)
    assert moved.endswith(payload[len(descriptor) :])
    again = vp8.read(moved[len(before) :]).marks
    assert again is not None
    if picture is not None:
        mask = 0x7FFF if long else 0x7F
        assert again.picture == picture + shift[0] & mask
    if base is not None:
        assert again.base == base + shift[1] & 0xFF
    if key is not None:
        assert again.key == key + shift[2] & 0x1F
    for length in range(len(descriptor) + 1):
        with pytest.raises(ValueError, match="truncated"):
            vp8.read(payload[:length])


def test_vp8_without_extensions() -> None:
    assert vp8.read(b"\x10\x00rest") == (True, None)
    assert vp8.read(b"\x10\x01rest") == (False, None)
    assert vp8.read(b"\x00\x00rest") == (False, None)


@given(
    predicted=st.booleans(),
    starts=st.booleans(),
    flexible=st.booleans(),
    picture=st.one_of(st.none(), numbers7, numbers15),
    layer=st.one_of(st.none(), st.integers(0, 7)),
    base=byte,
    shift=st.tuples(*[st.integers(-(2**20), 2**20)] * 3),
)
def test_vp9_is_read_and_moved_on(
    *,
    predicted: bool,
    starts: bool,
    flexible: bool,
    picture: int | None,
    layer: int | None,
    base: int,
    shift: tuple[int, int, int],
) -> None:
    long = picture is not None and picture > 0x7F
    first = (
        (0x80 if picture is not None else 0)
        | (0x40 if predicted else 0)
        | (0x20 if layer is not None else 0)
        | (0x10 if flexible else 0)
        | (0x08 if starts else 0)
    )
    payload = bytes([first])
    if picture is not None:
        payload += picture_bytes(picture, long)
    if layer is not None:
        payload += bytes([layer << 1])
        if not flexible:
            payload += bytes([base])
    for length in range(len(payload)):
        with pytest.raises(ValueError, match="truncated"):
            vp9.read(payload[:length])
    found = vp9.read(payload + b"rest")
    assert found.starts is (starts and not predicted and layer in {None, 0})
    has_base = layer is not None and not flexible
    if picture is None and not has_base:
        assert found.marks is None
        return
    assert found.marks is not None
    again = vp9.read(shifted(payload + b"rest", 0, found.marks, Shift(*shift))).marks
    assert again is not None
    if picture is not None:
        assert again.picture == picture + shift[0] & (0x7FFF if long else 0x7F)
    if has_base:
        assert again.base == base + shift[1] & 0xFF


def marks(picture: int, base: int, key: int) -> Marks:
    return Marks(2, 15, picture, 4, base, 5, key)


@given(st.tuples(numbers15, byte, byte), st.tuples(numbers15, byte, byte))
def test_what_follows_has_the_next_numbers(
    last: tuple[int, int, int], new: tuple[int, int, int]
) -> None:
    before = Shift(-70_000, 3, 900)
    after = following(marks(*new), marks(*last), before)
    for index, modulus in ((0, 0x8000), (1, 0x100), (2, 0x20)):
        sent_last, sent_new = last[index] + before[index], new[index] + after[index]
        assert (sent_new - sent_last) % modulus == 1


def aggregate(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(u).to_bytes(2, "big") + u for u in units)


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (b"\x67\x42", True),
        (b"\x68\x42", False),
        (b"\x65\x88", False),
        (b"\x61\xe0", False),
        (b"\x7c\x87\x42", True),
        (b"\x7c\x07\x42", False),
        (b"\x7c\x85\x88", False),
        (aggregate(b"\x67\x42\xc0", b"\x68\xce", b"\x65\x88"), True),
        (aggregate(b"\x09\xf0", b"\x67\x42"), True),
        (aggregate(b"\x06\x05", b"\x61\xe0"), False),
        (aggregate(b""), False),
    ],
)
def test_h264_starts_with_sequence_parameters(payload: bytes, starts: bool) -> None:
    assert h264.read(payload) == (starts, None)


@pytest.mark.parametrize(
    "payload", [b"", b"\x7c", b"\x78\x00", b"\x78\x00\x05\x61", aggregate(b"\x61") + b"\x00"]
)
def test_truncated_h264_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"H\.264 .* truncated"):
        h264.read(payload)


@pytest.mark.parametrize(
    ("first", "starts"), [(0x28, True), (0x68, True), (0xA8, False), (0x10, False), (0x90, False)]
)
def test_av1_starts_with_a_new_sequence(first: int, starts: bool) -> None:
    assert av1.read(bytes([first, 0x0A])) == (starts, None)


@pytest.mark.parametrize("payload", [b"", b"\x28"])
def test_truncated_av1_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="truncated"):
        av1.read(payload)


def redundant(*blocks: bytes, payload_type: int = 63) -> bytes:
    headers = b"".join(
        bytes([0x80 | payload_type]) + (960 << 10 | len(block)).to_bytes(3, "big")
        for block in blocks[:-1]
    )
    return headers + bytes([payload_type]) + b"".join(blocks)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=red.MAX_BLOCKS))
def test_red_is_unwrapped_and_renumbered(blocks: list[bytes]) -> None:
    payload = redundant(*blocks)
    assert red.primary(payload) == blocks[-1]
    assert red.with_payload_type(payload, 96) == redundant(*blocks, payload_type=96)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "truncated"),
        (b"\xef\x0f\x00", "truncated"),
        (b"\xef\x0f\x00\x27", "truncated"),
        (b"\xef\x0f\x00\x27\x6f\x00", "truncated"),
        (redundant(*[b""] * (red.MAX_BLOCKS + 1)), "more than"),
    ],
)
def test_damaged_red_is_refused(payload: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        red.primary(payload)

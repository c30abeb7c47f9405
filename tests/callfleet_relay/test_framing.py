from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.transport.framing import MAX_FRAME, FramingError, frame_length

COOKIE = bytes.fromhex("2112a442")


def stun(body: bytes, kind: int = 1) -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + COOKIE + bytes(12) + body


def channel_data(payload: bytes, number: int = 0x4000) -> bytes:
    data = number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload
    return data + bytes(-len(payload) % 4)


def lengths(data: bytes, limit: int = MAX_FRAME) -> list[int]:
    """Of all whole frames in a row."""
    found = []
    position = 0
    while (size := frame_length(data, position, len(data), limit)) and position + size <= len(data):
        found.append(size)
        position += size
    return found


FRAMES = st.one_of(
    st.integers(0, 40).map(lambda words: stun(bytes(4 * words))),
    st.builds(channel_data, st.binary(max_size=90), st.integers(0x4000, 0x7FFF)),
)


@given(st.lists(FRAMES, max_size=6), st.integers(0, 1000))
def test_frames_are_found_wherever_the_stream_is_cut(frames: list[bytes], cut: int) -> None:
    stream = b"".join(frames)
    head = stream[:cut]

    whole = lengths(head)

    assert whole == [len(frame) for frame in frames[: len(whole)]]
    rest = stream[sum(whole) :]
    assert whole + lengths(rest) == [len(frame) for frame in frames]


def test_the_padding_belongs_to_the_frame() -> None:
    assert frame_length(channel_data(b"12345"), 0, 9, MAX_FRAME) == 12
    assert lengths(channel_data(b"")) == [4]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x00\x00\x00",  # RTP
        b"\xc0\x00\x00\x00",  # QUIC
        b"\x00\x01\x00\x03" + COOKIE,  # no multiple of four
        b"\x00\x01\x00\x00" + bytes(4),  # no magic cookie
        b"\r\n\r\n\0\r\nQUIT\n",  # PROXY protocol
        b"\x16\x03\x01\x00\xc8\x01\x00\x00",  # TLS
    ],
)
def test_what_is_not_turn_is_refused(data: bytes) -> None:
    with pytest.raises(FramingError):
        frame_length(data, 0, len(data), MAX_FRAME)


def test_the_length_is_bounded() -> None:
    with pytest.raises(FramingError, match="2052 bytes, 2048 are allowed"):
        frame_length(b"\x40\x00\x08\x00", 0, 4, 2048)
    with pytest.raises(FramingError):
        frame_length(b"GET / HTTP/1.1\r\n\r\n", 0, 18, 2048)


@given(st.binary(max_size=64))
def test_any_bytes_give_a_length_or_an_error(data: bytes) -> None:
    try:
        size = frame_length(data, 0, len(data), MAX_FRAME)
    except FramingError:
        return
    assert size == 0 or 4 <= size <= MAX_FRAME
    assert size % 4 == 0

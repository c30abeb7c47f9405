from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from callfleet_engine.load.media import LOOP_SECONDS, LoopedTrack, encode_audio, encode_video
from callfleet_engine.load.scenario import Video


def decoded(codec: str, packets: tuple[bytes, ...]) -> list[Any]:
    decoder = av.CodecContext.create(codec, "r")
    return [frame for data in packets for frame in decoder.decode(av.Packet(data))]  # type: ignore[attr-defined]


def test_audio_is_opus_of_20_ms_packets() -> None:
    loop = encode_audio()

    assert loop.packet_seconds == Fraction(1, 50)
    assert len(loop.packets) == LOOP_SECONDS * 50
    assert sum(frame.samples for frame in decoded("libopus", loop.packets)) == pytest.approx(
        LOOP_SECONDS * 48_000, rel=0.02
    )


def test_video_is_vp8_that_begins_with_a_keyframe_and_uses_its_bit_rate() -> None:
    video = Video(width=320, height=180, frames_per_second=15, kilobits_per_second=300)

    loop = encode_video(video)
    frames = decoded("libvpx", loop.packets)

    assert len(loop.packets) == len(frames) == LOOP_SECONDS * 15
    assert (frames[0].width, frames[0].height) == (320, 180)
    assert [data[0] & 1 for data in loop.packets].index(0) == 0  # RFC 6386, section 9.1
    bits = 8 * sum(map(len, loop.packets)) / LOOP_SECONDS
    assert 150_000 < bits < 600_000


async def test_a_track_repeats_its_loop_with_rising_timestamps() -> None:
    loop = encode_audio()
    track = LoopedTrack(type(loop)("audio", loop.packets[:2], Fraction(1, 1000)))

    packets = [await track.recv() for _ in range(5)]

    assert [packet.pts for packet in packets] == [0, 1, 2, 3, 4]
    assert [bytes(packet) for packet in packets] == [
        loop.packets[number % 2] for number in range(5)
    ]
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()

"""What participants send: Opus and VP8, encoded once and then sent again and again.

Encoding for each participant would make this machine's processor the thing measured.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext

from callfleet_engine.load.scenario import Video

LOOP_SECONDS = 2
"""Length of what is repeated; each turn of the video begins with a keyframe."""

_AUDIO_RATE = 48_000
_AUDIO_FRAME = 960  # 20 ms, the usual packet of Opus in WebRTC


@dataclass(frozen=True, slots=True)
class EncodedLoop:
    """Packets of equal duration that can be played round and round."""

    kind: str
    packets: tuple[bytes, ...]
    packet_seconds: Fraction


def encode_audio() -> EncodedLoop:
    """A 440 Hz tone in Opus, mono, 20 ms a packet."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, AudioCodecContext)  # noqa: S101 (PyAV types create() too widely)
    encoder.sample_rate = _AUDIO_RATE
    encoder.format = av.AudioFormat("s16")
    encoder.layout = "mono"
    encoder.bit_rate = 32_000
    encoder.time_base = Fraction(1, _AUDIO_RATE)
    packets: list[bytes] = []
    for start in range(0, LOOP_SECONDS * _AUDIO_RATE, _AUDIO_FRAME):
        frame = av.AudioFrame(format="s16", layout="mono", samples=_AUDIO_FRAME)
        tone = (
            int(8_000 * math.sin(2 * math.pi * 440 * sample / _AUDIO_RATE))
            for sample in range(start, start + _AUDIO_FRAME)
        )
        frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) for value in tone))
        frame.sample_rate = _AUDIO_RATE
        frame.pts = start
        frame.time_base = Fraction(1, _AUDIO_RATE)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return EncodedLoop("audio", tuple(packets), Fraction(_AUDIO_FRAME, _AUDIO_RATE))


def encode_video(video: Video) -> EncodedLoop:
    """Noise over grey in VP8, one packet a frame."""
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101 (as above)
    encoder.width, encoder.height = video.width, video.height
    encoder.pix_fmt = "yuv420p"
    encoder.bit_rate = video.kilobits_per_second * 1000
    encoder.time_base = Fraction(1, video.frames_per_second)
    encoder.framerate = Fraction(video.frames_per_second)
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    encoder.gop_size = LOOP_SECONDS * video.frames_per_second
    packets: list[bytes] = []
    for number in range(LOOP_SECONDS * video.frames_per_second):
        packets += [bytes(packet) for packet in encoder.encode(_picture(video, number))]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    return EncodedLoop("video", tuple(packets), Fraction(1, video.frames_per_second))


def _picture(video: Video, number: int) -> av.VideoFrame:
    """Grey with a band of noise: enough change a frame to need the whole bit rate."""
    noise = random.Random(number)  # noqa: S311
    frame = av.VideoFrame(video.width, video.height, "yuv420p")
    for index, plane in enumerate(frame.planes):
        picture = bytearray([128]) * (plane.line_size * plane.height)
        if index == 0:
            band = plane.line_size * (plane.height // 6)
            picture[:band] = noise.randbytes(band)
        plane.update(bytes(picture))
    frame.pts = number
    frame.time_base = Fraction(1, video.frames_per_second)
    return frame


class LoopedTrack(MediaStreamTrack):
    """A track that gives the packets of a loop at their own pace, without end."""

    def __init__(self, loop: EncodedLoop) -> None:
        super().__init__()
        self.kind = loop.kind
        self._encoded = loop
        self._number = 0
        self._started: float | None = None

    async def recv(self) -> av.Packet[Any]:
        """The next packet, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        if self._started is None:
            self._started = now
        due = self._started + float(self._number * self._encoded.packet_seconds)
        if due > now:
            await asyncio.sleep(due - now)
        packet = av.Packet(self._encoded.packets[self._number % len(self._encoded.packets)])
        packet.pts = self._number
        packet.time_base = self._encoded.packet_seconds
        self._number += 1
        return packet

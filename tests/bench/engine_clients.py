"""Cheap but real participants for benches: ICE, DTLS and SRTP are aiortc's, the media is encoded
once and sent again and again. Nothing is decoded; every packet is unprotected and counted.
"""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from struct import pack_into

import av
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpSenderInfo, RtcpSrPacket

from callfleet_engine.media.interface import Kind
from callfleet_engine.media.rtp import HEADER
from callfleet_engine.media.seams import Certificate, ForwardingPeerConnection
from tests.bench.full_ice import FullConnection

FRAMES_PER_SECOND = 25
AUDIO_INTERVAL = 0.02
CLIP_SECONDS = 4
ABS_SEND_TIME = bytes.fromhex("bede000132000000")
AUDIO_LEVEL = bytes.fromhex("bede000120550000")


@dataclass(frozen=True, slots=True)
class Clip:
    """Payloads of encoded media: a list of packets for each video frame, one for each 20 ms."""

    video: list[list[bytes]]
    audio: list[bytes]

    @property
    def packets_per_second(self) -> float:
        return sum(map(len, self.video)) / CLIP_SECONDS + len(self.audio) / CLIP_SECONDS

    @property
    def kilobits_per_second(self) -> tuple[float, float]:
        """Video and audio, payload only."""
        video = sum(len(p) for frame in self.video for p in frame)
        return video * 8 / CLIP_SECONDS / 1000, sum(map(len, self.audio)) * 8 / CLIP_SECONDS / 1000


def encode_clip(width: int = 640, height: int = 360, bitrate: int = 700_000) -> Clip:
    """Real VP8 of a noisy moving picture at a target bit rate, real Opus of a tone."""
    noise = random.Random(1).randbytes(width * height * 2)  # noqa: S311 (the same picture each run)
    vp8 = Vp8Encoder()
    vp8.target_bitrate = bitrate
    video = []
    for index in range(FRAMES_PER_SECOND * CLIP_SECONDS):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            start = (index * 640 * 3) % (len(noise) - plane.buffer_size)
            level = bytes(60 + (b >> 2) for b in noise[start : start + plane.buffer_size])
            plane.update(level)
        frame.pts = index * 90000 // FRAMES_PER_SECOND
        frame.time_base = Fraction(1, 90000)
        payloads, _ = vp8.encode(frame, force_keyframe=index == 0)
        video.append(payloads)
    opus = OpusEncoder()
    audio = []
    for index in range(int(CLIP_SECONDS / AUDIO_INTERVAL)):
        sound = av.AudioFrame("s16", "stereo", 960)
        sound.sample_rate = 48000
        sound.pts = index * 960
        sound.time_base = Fraction(1, 48000)
        samples = bytearray(960 * 4)
        for at in range(960):
            pack_into("<hh", samples, at * 4, (at * 331) % 9000 - 4500, (at * 97) % 9000 - 4500)
        sound.planes[0].update(bytes(samples))
        payloads, _ = opus.encode(sound)
        audio.extend(payloads)
    return Clip(video=video, audio=audio)


class ClientConnection(ForwardingPeerConnection):
    """The client's end: it probes the server's candidates and is DTLS client."""

    def __init__(self, certificate: Certificate, counter: ReceivedCounter) -> None:
        self.up = asyncio.Event()
        super().__init__(
            connection=FullConnection(),
            certificate=certificate,
            on_rtp=counter.received,
            on_rtcp=lambda _: None,
            on_state=self._changed,
        )
        self.dtls._set_role("client")

    def _changed(self) -> None:
        if self.dtls.state == "connected":
            self.up.set()


class ReceivedCounter:
    """Packets by SSRC: how many, and how many numbers are missing between."""

    def __init__(self) -> None:
        self.streams: dict[int, list[int]] = {}

    def received(self, data: bytes) -> None:
        _, _, sequence, _, ssrc = HEADER.unpack_from(data)
        stream = self.streams.get(ssrc)
        if stream is None:
            self.streams[ssrc] = [1, sequence, sequence, 0]
            return
        stream[0] += 1
        step = (sequence - stream[2]) & 0xFFFF
        if step < 0x8000:
            stream[2] = sequence
            stream[3] += step - 1
        else:
            stream[3] -= 1

    @property
    def packets(self) -> int:
        return sum(s[0] for s in self.streams.values())

    @property
    def missing(self) -> int:
        return sum(s[3] for s in self.streams.values())

    def report(self, ssrc: int) -> bytes:
        """Receiver reports for what arrives, at most 31 (RFC 3550 section 6.4.1)."""
        infos = [
            RtcpReceiverInfo(
                ssrc=s,
                fraction_lost=0,
                packets_lost=0,
                highest_sequence=v[2],
                jitter=0,
                lsr=0,
                dlsr=0,
            )
            for s, v in list(self.streams.items())[:31]
        ]
        return bytes(RtcpRrPacket(ssrc=ssrc, reports=infos))


class Publisher:
    """Sends a clip on the m-lines of a publish connection, from a common clock."""

    def __init__(self, pc: ForwardingPeerConnection, clip: Clip) -> None:
        self.pc = pc
        self.clip = clip
        self.lines = {kind: pc.add_line(kind) for kind in KINDS}
        for line in self.lines.values():
            line.offer_stream("bench")
        self.sent = 0
        self._sequence: dict[Kind, int] = dict.fromkeys(KINDS, secrets.randbits(14))
        self._timestamp: dict[Kind, int] = dict.fromkeys(KINDS, secrets.randbits(31))
        self._payload_type: dict[Kind, int] = {"audio": 96, "video": 97}
        self._frame = secrets.randbelow(len(clip.video))
        self._sound = secrets.randbelow(len(clip.audio))

    def negotiated(self) -> None:
        for media in self.pc.negotiated().values():
            self._payload_type[media.kind] = media.codecs[0].payloadType or 0

    def send_frame(self) -> None:
        frame = self.clip.video[self._frame % len(self.clip.video)]
        self._frame += 1
        self._timestamp["video"] += 90000 // FRAMES_PER_SECOND
        for index, payload in enumerate(frame):
            self._send("video", payload, marker=index == len(frame) - 1, extension=ABS_SEND_TIME)

    def send_sound(self) -> None:
        payload = self.clip.audio[self._sound % len(self.clip.audio)]
        self._sound += 1
        self._timestamp["audio"] += 960
        self._send("audio", payload, marker=False, extension=AUDIO_LEVEL)

    def _send(self, kind: Kind, payload: bytes, *, marker: bool, extension: bytes) -> None:
        self._sequence[kind] += 1
        header = HEADER.pack(
            0x90,
            (0x80 if marker else 0) | self._payload_type[kind],
            self._sequence[kind] & 0xFFFF,
            self._timestamp[kind] & 0xFFFFFFFF,
            self.lines[kind].ssrc,
        )
        self.sent += self.pc.dtls.send_rtp(header + extension + payload)

    def report(self) -> None:
        now = time.time() + 2208988800
        for kind, line in self.lines.items():
            self.pc.dtls.send_rtcp(
                bytes(
                    RtcpSrPacket(
                        ssrc=line.ssrc,
                        sender_info=RtcpSenderInfo(
                            ntp_timestamp=int(now * (1 << 32)),
                            rtp_timestamp=self._timestamp[kind] & 0xFFFFFFFF,
                            packet_count=self._sequence[kind],
                            octet_count=0,
                        ),
                    )
                )
            )


KINDS: tuple[Kind, Kind] = ("audio", "video")


async def play(
    publishers: Sequence[Publisher],
    every_second: Sequence[functools.partial[bool]],
    stop: asyncio.Event,
) -> None:
    """Send all clips in real time, spread evenly, until `stop`."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    step = 0
    while not stop.is_set():
        # 200 steps a second: each participant has its own phase of 20 ms and 40 ms.
        for index, publisher in enumerate(publishers):
            if (step + index) % 4 == 0:
                publisher.send_sound()
            if (step + index) % (200 // FRAMES_PER_SECOND) == 0:
                publisher.send_frame()
            if (step + index) % 200 == 0:
                publisher.report()
        for index, report in enumerate(every_second):
            if (step + index) % 200 == 0:
                report()
        step += 1
        await asyncio.sleep(max(start + step / 200 - loop.time(), 0))

"""A participant whose camera is sent in three layers, as browsers do; aiortc sends one."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.vpx import VpxPayloadDescriptor

from callfleet_engine.load.media import EncodedLoop, encode_video
from callfleet_engine.load.peer import CountingPeerConnection
from callfleet_engine.load.scenario import Video
from callfleet_engine.media import rtp
from tests.callfleet_engine.engines import Client, until
from tests.callfleet_engine.media.peers import new_pc
from tests.callfleet_engine.media.simulcast import extended

HEIGHTS = (90, 180, 360)
"""Of the pictures of each layer, the lowest first."""
FRAMES_PER_SECOND = 10
_RIDS = ("q", "h", "f")
_PAYLOAD_BYTES = 1100
_MID, _RID = 1, 9
"""Numbers of header extensions; the first is aiortc's."""


def encode_layers() -> tuple[EncodedLoop, ...]:
    """A second of each layer, which begins with its only keyframe."""
    return tuple(_second(height) for height in HEIGHTS)


def _second(height: int) -> EncodedLoop:
    loop = encode_video(
        Video(
            width=height * 16 // 9,
            height=height,
            frames_per_second=FRAMES_PER_SECOND,
            kilobits_per_second=height // 3,
        )
    )
    return EncodedLoop(loop.kind, loop.packets[:FRAMES_PER_SECOND], loop.packet_seconds)


class LayeredCamera:
    """Joins, publishes, and takes what comes without decoding it."""

    def __init__(self, client: Client, layers: tuple[EncodedLoop, ...]) -> None:
        self.client = client
        self.participant = ""
        self._layers = layers
        self._pc: RTCPeerConnection = new_pc()
        self._taking = CountingPeerConnection([], "all")
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, room: str) -> None:
        joined = await self.client.join(room)
        self.participant = joined["participant"]
        self._tasks.append(asyncio.create_task(self.client.answer_offers(self._taking)))

    async def publish(self) -> None:
        self._pc.addTransceiver("video", direction="sendonly")
        await self._pc.setLocalDescription(await self._pc.createOffer())
        offer = _with_layers(self._pc.localDescription.sdp)
        published = await self.client.ask("publish", offer=offer)
        assert "a=simulcast:recv" in published["answer"], published
        await self._pc.setRemoteDescription(RTCSessionDescription(published["answer"], "answer"))
        await until(lambda: self._pc.connectionState == "connected", "the camera is connected")
        self._tasks.append(asyncio.create_task(self._send()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(self._pc.close(), self._taking.close())
        await self.client.close()

    async def _send(self) -> None:
        sender: Any = self._pc.getSenders()[0]
        codecs = self._pc.getTransceivers()[0]._codecs
        payload_type = next(one.payloadType for one in codecs if one.mimeType == "video/VP8")
        assert payload_type is not None
        streams = [_Stream(rid, payload_type) for rid in _RIDS]
        number = 0
        while True:
            for stream, loop in zip(streams, self._layers, strict=True):
                for packet in stream.packets(loop.packets[number % len(loop.packets)]):
                    try:
                        await sender.transport._send_rtp(packet)
                    except ConnectionError:  # the engine has ended it
                        return
            number += 1
            await asyncio.sleep(1 / FRAMES_PER_SECOND)


class _Stream:
    """Where the numbers of one layer stand."""

    def __init__(self, rid: str, payload_type: int) -> None:
        self._rid = rid.encode()
        self._payload_type = payload_type
        self._ssrc = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self._timestamp = random.getrandbits(31)
        self._picture = random.getrandbits(15)

    def packets(self, frame: bytes) -> list[bytes]:
        """A frame as RTP (RFC 7741)."""
        made = []
        for start in range(0, len(frame), _PAYLOAD_BYTES):
            part = frame[start : start + _PAYLOAD_BYTES]
            descriptor = VpxPayloadDescriptor(
                partition_start=int(start == 0), partition_id=0, picture_id=self._picture
            )
            marker = rtp.MARKER if start + len(part) == len(frame) else 0
            header = rtp.HEADER.pack(
                0x80, marker | self._payload_type, self._sequence, self._timestamp, self._ssrc
            )
            packet = header + bytes(descriptor) + part
            made.append(extended(packet, (_MID, b"0"), (_RID, self._rid)))
            self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + 90_000 // FRAMES_PER_SECOND) & 0xFFFFFFFF
        self._picture = (self._picture + 1) & 0x7FFF
        return made


def _with_layers(offer: str) -> str:
    """The offer of one video, as that of a camera with layers (RFC 8853)."""
    kept = [line for line in offer.splitlines() if not line.startswith("a=ssrc")]
    rids = [f"a=rid:{rid} send" for rid in _RIDS]
    added = [f"a=extmap:{_RID} {rtp.RID_URI}", *rids, f"a=simulcast:send {';'.join(_RIDS)}"]
    return "\r\n".join([*kept, *added, ""])

"""Whole engines and real clients for tests: nothing between them but loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import av
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack

from callfleet_engine.engine import Engine
from callfleet_engine.media.rtp import ABS_SEND_TIME_URI
from callfleet_engine.settings import Settings
from tests import waiting
from tests.callfleet_engine.media.peers import new_pc

LIMIT_SECONDS = 20.0
Message = dict[str, Any]


def settings(directory: Path, **changes: object) -> Settings:
    """An engine on free loopback ports, with a database of its own, open to everybody."""
    given: dict[str, object] = {
        "listen": "127.0.0.1:0",
        "metrics": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "database": f"sqlite:///{directory}/calls.db",
        "open": "keys_file" not in changes,
        "heartbeat_seconds": 0.2,
        **changes,
    }
    return Settings.model_validate(given)


async def until(condition: Callable[[], object], what: str | Callable[[], str]) -> None:
    """Wait for a condition; fails with `what` after a bound."""
    await waiting.until(condition, what, within=LIMIT_SECONDS)


class Client:
    """One WebSocket of signalling. Messages that are not waited for are kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[Message] = []
        self._ids = 0
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, engine: Engine, **headers: str) -> Self:
        return cls(
            await http.ws_connect(
                f"http://{engine.listening.listen}/api/v1/signal",
                protocols=("callfleet.v1",),
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )
        )

    async def send(self, **message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def ask(self, type: str, **fields: object) -> Message:  # noqa: A002 - its name in JSON
        """Send a message and wait for the one with its id."""
        self._ids += 1
        number = self._ids
        await self.send(type=type, id=number, **fields)
        return await self.expect(lambda message: message.get("id") == number, f"answer to {type}")

    async def join(self, room: str = "room", **fields: object) -> Message:
        return await self.ask("join", room=room, **fields)

    async def expect(self, wanted: Callable[[Message], bool], what: str) -> Message:
        """Wait for a message, and take it and those before it out of `received`."""
        await until(
            lambda: any(wanted(message) for message in self.received) or self._reader.done(),
            lambda: f"{what}; came: {[m.get('type') for m in self.received]}",
        )
        found = [index for index, message in enumerate(self.received) if wanted(message)]
        assert found, f"closed with {self.socket.close_code} without {what}: {self.received}"
        message = self.received[found[0]]
        del self.received[: found[0] + 1]
        return message

    async def expect_type(self, kind: str) -> Message:
        return await self.expect(lambda message: message["type"] == kind, kind)

    async def answer_offers(self, connection: RTCPeerConnection, *, remb: bool = True) -> None:
        """Take with it whatever is offered, until cancelled; without `remb` as in `Caller`."""
        while True:
            offer: str = (await self._next_offer())["offer"]
            if not remb:
                lines = offer.splitlines()
                offer = "\r\n".join([*(one for one in lines if ABS_SEND_TIME_URI not in one), ""])
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
            await self.send(type="subscribe", answer=connection.localDescription.sdp)

    async def _next_offer(self) -> Message:
        while True:
            for index, message in enumerate(self.received):
                if message["type"] == "offer":
                    return self.received.pop(index)
            await asyncio.sleep(0.01)

    async def closed(self) -> int | None:
        """Wait until the server has closed; the close code."""
        await until(self._reader.done, "close")
        return self.socket.close_code

    async def drop(self) -> None:
        """Lose the connection without a word, as a client that changes networks does."""
        transport = self.socket.get_extra_info("transport") or self.socket._response.connection
        assert transport is not None
        self.socket._response.close()
        await until(self._reader.done, "dropped")

    async def close(self) -> None:
        await self.socket.close()
        self._reader.cancel()
        await asyncio.wait({self._reader})

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.received.append(json.loads(message.data))


class Tone(AudioStreamTrack):
    """A steady loud signal, unlike silence."""

    async def recv(self) -> av.AudioFrame:
        frame = await super().recv()
        assert isinstance(frame, av.AudioFrame)
        for plane in frame.planes:
            plane.update(b"\x00\x20\x00\xe0" * (plane.buffer_size // 4))
        return frame


class Caller:
    """A participant with real peer connections, who speaks and listens.

    Without `remb` it does not say what its path carries, which aiortc takes for next to nothing
    while its process is busy. aiortc estimates only where it is offered the time of sending.
    """

    def __init__(self, client: Client, *, remb: bool = True) -> None:
        self.client = client
        self._remb = remb
        self.joined: Message = {}
        self.publishing = new_pc()
        self.subscribing = new_pc()
        self.loudness: dict[str, int] = {}
        self.heights: dict[str, int] = {}
        """Of the last picture, by track."""
        self._listening: set[asyncio.Task[None]] = set()
        self._answering: asyncio.Task[None] | None = None
        self.subscribing.on("track", self._track)

    async def join(self, room: str = "room", **fields: object) -> Message:
        self.joined = await self.client.join(room, **fields)
        assert self.joined["type"] == "joined", self.joined
        self._answering = asyncio.create_task(
            self.client.answer_offers(self.subscribing, remb=self._remb)
        )
        return self.joined

    async def offer(self) -> str:
        self.publishing.addTrack(Tone())
        await self.publishing.setLocalDescription(await self.publishing.createOffer())
        sdp: str = self.publishing.localDescription.sdp
        return sdp

    async def publish(self) -> None:
        published = await self.client.ask("publish", offer=await self.offer())
        assert published["type"] == "published", published
        await self.publishing.setRemoteDescription(
            RTCSessionDescription(published["answer"], "answer")
        )

    async def hears(self) -> None:
        """Wait until sound of somebody arrives."""
        await until(
            lambda: any(loud > 1000 for loud in self.loudness.values()),
            lambda: f"sound: {self.state()}",
        )

    def state(self) -> str:
        """For failures: how far both connections are, whether offers are answered, what is heard,
        and what nobody waited for."""
        states = {
            name: f"{pc.connectionState} (ICE {pc.iceConnectionState}, {pc.signalingState})"
            for name, pc in (("publishing", self.publishing), ("subscribing", self.subscribing))
        }
        unread = [message["type"] for message in self.client.received]
        return f"{states}, {self._answering}, loudness {self.loudness}, unread {unread}"

    async def close(self) -> None:
        tasks = [task for task in (self._answering, *self._listening) if task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.gather(self.publishing.close(), self.subscribing.close())
        await self.client.close()

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening.add(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, av.AudioFrame):
                samples = memoryview(bytes(frame.planes[0])).cast("h")
                self.loudness[track.id] = max(abs(sample) for sample in samples)
            elif isinstance(frame, av.VideoFrame):
                self.heights[track.id] = frame.height


@asynccontextmanager
async def running(*all_settings: Settings) -> AsyncIterator[list[Engine]]:
    """Engines in this process, ended afterwards."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Engine(one)) for one in all_settings]

"""The least signalling that the page needs: one room, no tokens, on a real media plane."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

import callfleet_engine
from callfleet_engine.media.interface import (
    FailureCause,
    LossCause,
    MediaError,
    MediaSession,
    PeerConnection,
    SubscribedTrack,
)
from callfleet_engine.media.interface import Path as MediaPath
from callfleet_engine.media.plane import AiortcCall, AiortcPlane, MediaSettings

WEB = Path(callfleet_engine.__file__).parent / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Client:
    """One WebSocket and its session; implements MediaEvents."""

    def __init__(self, room: Room, socket: web.WebSocketResponse, name: str) -> None:
        self.id = f"p{len(room.seen)}"
        self.name = name
        self.sending = {"audio": True, "video": True}
        self.session: MediaSession
        self._room = room
        self._socket = socket

    @property
    def presence(self) -> dict[str, Any]:
        return {"participant": self.id, "name": self.name, "identity": self.name, **self.sending}

    def send(self, **message: object) -> None:
        self._room.spawn(self._socket.send_str(json.dumps(message)))

    def offer(self, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        listed = [{"mid": t.mid, "participant": t.participant, "kind": t.kind} for t in tracks]
        self.send(type="offer", offer=sdp, tracks=listed)

    def connected(self, pc: PeerConnection, path: MediaPath, seconds: float) -> None:
        assert seconds >= 0
        self._room.connected.append((self.id, pc, path))

    def failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        self._room.failed.append((self.id, pc, cause))

    def lost(self, cause: LossCause) -> None:
        self._room.lost.append((self.id, cause))
        self.send(type="ended", reason="media_lost")


class Room:
    def __init__(self, call: AiortcCall) -> None:
        self.call = call
        self.clients: dict[str, Client] = {}
        self.seen: list[str] = []
        self.connected: list[tuple[str, str, str]] = []
        self.failed: list[tuple[str, str, str]] = []
        self.lost: list[tuple[str, str]] = []
        self.messages: list[dict[str, Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell_others(self, client: Client, event: str) -> None:
        for other in self.clients.values():
            if other is not client:
                other.send(type="participant", event=event, **client.presence)

    async def signal(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("callfleet.v1",))
        await socket.prepare(request)
        client: Client | None = None
        async for frame in socket:
            assert frame.type is WSMsgType.TEXT
            message = json.loads(frame.data)
            self.messages.append(message)
            try:
                if message["type"] == "join":
                    client = self.join(message, socket)
                elif client is not None:
                    await self.handle(client, message)
            except MediaError as error:
                await socket.send_json(
                    {
                        "type": "error",
                        "id": message.get("id"),
                        "code": error.code,
                        "message": error.message,
                        "remedy": error.remedy,
                    }
                )
        if client is not None:
            del self.clients[client.id]
            await client.session.close()
            self.tell_others(client, "left")
        return socket

    def join(self, message: dict[str, Any], socket: web.WebSocketResponse) -> Client:
        if message["room"] == "refused":
            raise MediaError("token_expired", "The token has expired.", "Ask for a new link.")
        client = Client(self, socket, message.get("name", ""))
        self.seen.append(client.id)
        client.send(
            type="joined",
            id=message["id"],
            call="call",
            room=message["room"],
            participant=client.id,
            name=client.name,
            resume="r",
            iceServers=[],
            iceTransportPolicy="all",
            participants=[c.presence for c in self.clients.values()],
        )
        client.session = self.call.join(
            client.id, client, can_publish=message.get("token") != "listener"
        )
        self.clients[client.id] = client
        self.tell_others(client, "joined")
        return client

    async def handle(self, client: Client, message: dict[str, Any]) -> None:
        match message["type"]:
            case "publish":
                answer = await client.session.publish(message["offer"])
                client.send(type="published", id=message["id"], answer=answer)
            case "subscribe":
                await client.session.answer(message["answer"])
            case "candidate":
                await client.session.add_candidate(message["pc"], message["candidate"])
            case "toggle":
                sending = {str(k): bool(message[k]) for k in ("audio", "video") if k in message}
                client.sending.update(sending)
                client.session.set_sending(**sending)
                self.tell_others(client, "toggled")
            case "leave":
                client.send(type="ended", id=message["id"], reason="left")


async def page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "index.html", headers={"Content-Security-Policy": POLICY})


@asynccontextmanager
async def serve() -> AsyncIterator[tuple[str, Room]]:
    """The address of the page, and the room behind it."""
    plane = AiortcPlane(MediaSettings(address="127.0.0.1"))
    await plane.start()
    room = Room(plane.open_call("call"))
    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/r/{room}", page)
    app.router.add_static("/static/", WEB)
    app.router.add_get("/api/v1/signal", room.signal)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://localhost:{port}", room
    finally:
        await runner.cleanup()
        await plane.close()

"""WHIP and WHEP by aiortc: one client that publishes or plays, and the HTTP between."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Self

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from multidict import CIMultiDictProxy

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Tone
from tests.callfleet_engine.media.peers import Picture, new_pc

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


class Response:
    """What came back, read whole."""

    def __init__(self, status: int, headers: CIMultiDictProxy[str], text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text


class HttpClient:
    """A client of one engine, with a bearer token or without."""

    def __init__(self, http: aiohttp.ClientSession, engine: Engine, token: str = "") -> None:
        self._http = http
        self._base = f"http://{engine.listening.listen}"
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(
        self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> Response:
        async with self._http.request(
            method,
            self._base + path,
            data=body.encode(),
            headers={**self._authorization, **(headers or {})},
            skip_auto_headers=("Content-Type",),
        ) as response:
            return Response(response.status, response.headers, await response.text())


class WhipClient:
    """A peer connection that publishes (`whip`) or plays (`whep`)."""

    def __init__(self, http: HttpClient, protocol: str, room: str = "room") -> None:
        self.http = http
        self.endpoint = f"/{protocol}/{room}"
        self.pc: RTCPeerConnection = new_pc()
        self.created: Response
        self.frames: dict[str, int] = defaultdict(int)
        self._listening: set[asyncio.Task[None]] = set()
        self.pc.on("track", self._track)

    @property
    def location(self) -> str:
        return self.created.headers["Location"]

    @property
    def etag(self) -> str:
        return self.created.headers["ETag"]

    def publishing(self) -> Self:
        self.pc.addTrack(Tone())
        self.pc.addTrack(Picture())
        return self

    def playing(self, *kinds: str) -> Self:
        for kind in kinds or ("audio", "video"):
            self.pc.addTransceiver(kind, direction="recvonly")
        return self

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp: str = self.pc.localDescription.sdp
        return sdp

    async def start(self) -> Response:
        self.created = await self.http.send("POST", self.endpoint, await self.offer(), SDP)
        assert self.created.status == 201, self.created.text
        answer = RTCSessionDescription(self.created.text, "answer")
        await self.pc.setRemoteDescription(answer)
        return self.created

    async def patch(self, fragment: str, **headers: str) -> Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.send("PATCH", self.location, fragment, {**FRAGMENT, **given})

    async def delete(self) -> Response:
        return await self.http.send("DELETE", self.location)

    async def close(self) -> None:
        for task in self._listening:
            task.cancel()
        if self._listening:
            await asyncio.wait(self._listening)
        await self.pc.close()

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening.add(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            self.frames[track.kind] += 1


def problem(response: Response) -> dict[str, Any]:
    """A problem's body, complete."""
    assert response.headers["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = json.loads(response.text)
    assert body["status"] == response.status
    assert body["title"]
    assert body["detail"]
    assert body["remedy"]
    return body

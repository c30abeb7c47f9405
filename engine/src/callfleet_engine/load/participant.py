"""One participant of a call: signalling, two peer connections, and what became of them."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiortc import InvalidStateError, RTCSessionDescription

from callfleet_engine.load.allocation import AllocationRefusedError, open_allocation
from callfleet_engine.load.events import EventLog
from callfleet_engine.load.media import EncodedLoop, LoopedTrack
from callfleet_engine.load.peer import CountingPeerConnection
from callfleet_engine.load.reception import Reception
from callfleet_engine.load.signalling_client import (
    Message,
    SignallingClient,
    SignallingClosedError,
    SignallingError,
)

RETRIED = frozenset(
    {"full", "draining", "no_relay", "sealed", "store_unavailable", "wrong_pod", "internal"}
)
"""Error codes of a join that a client meets by trying again."""

RESUME_SECONDS = 30.0
"""How long a participant tries to have signalling again, as the call page does: the call of a pod
that is gone moves to another one."""

REPLACED_SECONDS = 3.0
"""How long a connection that has ended may wait for what replaces it: an engine that moves a call
closes the old connection at once, and its message may arrive after that."""

MEDIA_SECONDS = 20.0
HEARD_SECONDS = 3.0
ENDED = frozenset({"failed", "closed"})
"""States of a peer connection that is over."""


class TokenSource(Protocol):
    """Makes join tokens."""

    def __call__(self, room: str, identity: str) -> str | None:
        """A token, or None where the engine is open to everybody."""


@dataclass(frozen=True, slots=True)
class Client:
    """What all participants of a run share."""

    http: aiohttp.ClientSession
    url: str
    token: TokenSource
    events: EventLog
    loops: tuple[EncodedLoop, ...]


class _AskedToReconnectError(SignallingClosedError):
    """The engine wants signalling to be opened anew, now."""


class _DroppedError(Exception):
    """The participant is out of the call without having wanted it."""


class Participant:
    """Joins, publishes, subscribes to all others, and leaves when told to."""

    def __init__(self, client: Client, room: str, identity: str) -> None:
        self.room = room
        self.identity = identity
        self.call = ""
        self.pod = ""
        self.participant = ""
        self.dropped: str | None = None
        """Why it is out against its will."""
        self.move_gaps: list[float] = []
        """Seconds without any media from others, one for each time the call changed pods or the
        participant its relay."""
        self._client = client
        self._leave = asyncio.Event()
        self._ended = asyncio.Event()
        """A peer connection may have ended since it was last looked at."""
        self._resume = ""
        self._epoch = 0
        self._ice_servers: list[dict[str, Any]] = []
        self._policy = "all"
        self._publishing: CountingPeerConnection | None = None
        self._subscribing: CountingPeerConnection | None = None
        self._publishers: dict[str, str] = {}
        self._former: list[Reception] = []
        self._gap: asyncio.Task[None] | None = None
        self._broken_since: float | None = None
        self._asked_anew = False

    def leave(self) -> None:
        """Leave the call as soon as possible; `run` then returns."""
        self._leave.set()

    @property
    def connected(self) -> bool:
        """Its own media flows to the engine."""
        return self._publishing is not None and self._publishing.connectionState == "connected"

    def hears(self) -> set[str]:
        """Participants whose audio and video both came within the last 3 s."""
        now = time.monotonic()
        fresh: dict[str, int] = {}
        for mid, reception in self.receptions().items():
            if reception.last_at is not None and now - reception.last_at < HEARD_SECONDS:
                publisher = self._publishers.get(mid, "")
                fresh[publisher] = fresh.get(publisher, 0) + 1
        return {publisher for publisher, streams in fresh.items() if streams >= 2}

    def receptions(self) -> dict[str, Reception]:
        """Streams that come from others, by mid of the subscribing peer connection."""
        return {} if self._subscribing is None else self._subscribing.receptions()

    def streams(self) -> list[Reception]:
        """All that has come from others, on former pods too."""
        return [*self._former, *self.receptions().values()]

    async def run(self) -> None:
        """Be in the call until `leave`, or until the participant is dropped for good."""
        try:
            while not self._leave.is_set() and self.dropped is None:
                await self._attend()
        finally:
            await self._close_connections()

    async def _close_connections(self) -> None:
        open_ones = (self._publishing, self._subscribing)
        # Forgotten first: their end is no loss.
        self._publishing = self._subscribing = None
        if self._gap is not None:
            self._gap.cancel()
        for connection in open_ones:
            if connection is not None:
                await connection.close()

    async def _attend(self) -> None:
        """One WebSocket's life: join or resume, then follow until it ends."""
        try:
            async with SignallingClient(self._client.http, self._client.url) as signalling:
                if not await self._join(signalling):
                    return
                await self._follow(signalling)
        except SignallingClosedError as error:
            if self._leave.is_set():
                return
            if isinstance(error, _AskedToReconnectError):
                self._write("reconnecting")
                self._broken_since = time.monotonic()
            elif not self.participant:
                await self._refused("unreachable", str(error), None)
            else:
                await self._signalling_broke(str(error))
        except _DroppedError as error:
            self._drop(str(error))

    def _drop(self, why: str) -> None:
        self.dropped = why
        self._write("disconnected", why=why)

    async def _join(self, signalling: SignallingClient) -> bool:
        fields: Message = {"room": self.room, "name": self.identity}
        if (token := self._client.token(self.room, self.identity)) is not None:
            fields["token"] = token
        if self._resume:
            fields["resume"] = self._resume
        try:
            joined = await signalling.ask("join", **fields)
        except SignallingError as error:
            if error.code not in RETRIED:
                raise _DroppedError(f"join refused: {error.code}: {error}") from error
            if self.participant:
                await self._signalling_broke(f"resume refused: {error.code}")
            else:
                await self._refused(error.code, str(error), error.retry_after)
            return False
        known, epoch = self.participant, self._epoch
        if known and known != joined["participant"]:
            raise _DroppedError("signalling came back as somebody else: resume did not hold")
        self.call, self.participant = joined["call"], joined["participant"]
        self._epoch = joined["epoch"]
        self.pod = joined["pod"]
        self._resume = joined["resume"]
        self._ice_servers = joined["iceServers"]
        self._policy = joined["iceTransportPolicy"]
        if known and epoch == self._epoch:
            self._write("resumed")
            return True
        self._write("moved" if known else "joined")
        if known:
            await self._begin_anew()
        await self._publish(signalling)
        return True

    async def _begin_anew(self) -> None:
        """On another pod, or over another relay: what flowed before is over."""
        before = list(self.receptions().values())
        self._former += before
        heard = [stream.last_at for stream in before if stream.last_at is not None]
        await self._close_connections()
        if heard:
            self._subscribing = self._open_connection()
            self._gap = asyncio.create_task(self._measure_gap(self._subscribing, max(heard)))

    async def _measure_gap(self, connection: CountingPeerConnection, last_heard: float) -> None:
        await connection.received.wait()
        arrivals = [stream.first_at for stream in connection.receptions().values()]
        gap = min(at for at in arrivals if at is not None) - last_heard
        self.move_gaps.append(gap)
        self._write("media-back", gapMs=round(1000 * gap))

    async def _refused(self, code: str, message: str, retry_after: float | None) -> None:
        self._write("refused", code=code, message=message)
        await self._pause((retry_after or 1.0) * random.uniform(0.9, 1.3))  # noqa: S311

    async def _signalling_broke(self, why: str) -> None:
        self._write("signalling-broke", why=why)
        self._broken_since = self._broken_since or time.monotonic()
        if time.monotonic() - self._broken_since > RESUME_SECONDS:
            self._drop(f"signalling did not come back: {why}")
            return
        await self._pause(0.3)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._leave.wait()
        except TimeoutError:
            return

    async def _publish(self, signalling: SignallingClient) -> None:
        started = time.monotonic()
        connection = self._open_connection()
        self._publishing = connection
        for loop in self._client.loops:
            connection.addTrack(LoopedTrack(loop))
        await connection.setLocalDescription(await connection.createOffer())
        if self._policy == "relay" and "a=candidate" not in connection.localDescription.sdp:
            await self._report_relay_failure(signalling)
            raise _DroppedError("no relayed address could be had")
        published = await signalling.ask("publish", offer=connection.localDescription.sdp)
        answer = RTCSessionDescription(sdp=published["answer"], type="answer")
        await connection.setRemoteDescription(answer)
        await self._until_connected(connection)
        seconds = round(time.monotonic() - started, 3)
        self._write("connected", seconds=seconds, pair=connection.pair)

    async def _until_connected(self, connection: CountingPeerConnection) -> None:
        changed = asyncio.Event()
        connection.on("connectionstatechange", changed.set)
        try:
            async with asyncio.timeout(MEDIA_SECONDS):
                while connection.connectionState not in {"connected", "failed", "closed"}:
                    changed.clear()
                    await changed.wait()
        except TimeoutError as error:
            raise _DroppedError(f"no media within {MEDIA_SECONDS:.0f} s") from error
        if connection.connectionState != "connected":
            raise _DroppedError(f"publishing {connection.connectionState} before media flowed")

    def _open_connection(self) -> CountingPeerConnection:
        connection = CountingPeerConnection(self._ice_servers, self._policy)

        def watch() -> None:
            if connection.connectionState in ENDED:
                self._ended.set()

        connection.on("connectionstatechange", watch)
        return connection

    async def _report_relay_failure(self, signalling: SignallingClient) -> None:
        """Tell the engine what a browser would: the URL and the error code of each relay."""
        errors = []
        for server in self._ice_servers:
            try:
                allocation = await open_allocation(server)
                await allocation.close()
            except AllocationRefusedError as refused:
                url = server["urls"][0] if isinstance(server["urls"], list) else server["urls"]
                errors.append({"url": url, "errorCode": refused.code, "errorText": str(refused)})
        self._write("relay-refused", codes=[error["errorCode"] for error in errors])
        await signalling.send("report", iceErrors=errors, candidatePairs=[])

    async def _follow(self, signalling: SignallingClient) -> None:
        """Handle what the engine says until the participant leaves or something breaks."""
        self._broken_since = None
        self._asked_anew = False
        reading = asyncio.create_task(self._read(signalling))
        leaving = asyncio.create_task(self._leave.wait())
        losing = asyncio.create_task(self._until_lost())
        try:
            ends: list[asyncio.Task[Any]] = [reading, leaving, losing]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._leave.is_set():
                await signalling.ask("leave")
                self._write("left")
            elif reading.done():
                await reading
            else:
                raise _DroppedError(f"a peer connection {await losing}")
        finally:
            for task in (reading, leaving, losing):
                task.cancel()
            await asyncio.gather(reading, leaving, losing, return_exceptions=True)

    async def _until_lost(self) -> str:
        """The state of a connection that has ended without being replaced in time."""
        self._ended.set()  # one may have while there was no signalling
        while True:
            await self._ended.wait()
            self._ended.clear()
            if ended := self._ended_connections():
                await asyncio.sleep(REPLACED_SECONDS)
                if not self._asked_anew and (lost := ended & self._ended_connections()):
                    return lost.pop().connectionState

    def _ended_connections(self) -> set[CountingPeerConnection]:
        present = {self._publishing, self._subscribing}
        return {one for one in present if one is not None and one.connectionState in ENDED}

    async def _read(self, signalling: SignallingClient) -> None:
        async for message in signalling.messages():
            match message.get("type"):
                case "offer":
                    await self._subscribe(signalling, message)
                case "iceServers":
                    self._ice_servers = message["iceServers"]
                    if message["restart"]:
                        self._write("relay-changed")
                        await self._begin_anew()
                        await self._publish(signalling)
                case "reconnect":
                    self._resume = message.get("resume", self._resume)
                    self._asked_anew = True
                    await self._pause(message.get("afterMs", 0) / 1000)
                    raise _AskedToReconnectError("the engine asked to reconnect signalling")
                case "ended" if not self._leave.is_set():
                    raise _DroppedError(f"ended by the engine: {message.get('reason')}")
                case "error":
                    self._write("error", code=message.get("code"), message=message.get("message"))
        raise SignallingClosedError("the engine closed the WebSocket")

    async def _subscribe(self, signalling: SignallingClient, offer: Message) -> None:
        if self._subscribing is None:
            self._subscribing = self._open_connection()
        connection = self._subscribing
        description = RTCSessionDescription(sdp=offer["offer"], type="offer")
        try:
            await connection.setRemoteDescription(description)
            await connection.setLocalDescription(await connection.createAnswer())
        except InvalidStateError:
            # Closed amid this by the engine. `_until_lost` sees whether something replaces it.
            await connection.close()
            return
        self._publishers = {track["mid"]: track["participant"] for track in offer["tracks"]}
        await signalling.send("subscribe", answer=connection.localDescription.sdp)

    def _write(self, event: str, **fields: Any) -> None:  # noqa: ANN401 (JSON values)
        self._client.events.write(
            event, room=self.room, identity=self.identity, call=self.call, pod=self.pod, **fields
        )

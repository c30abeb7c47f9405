"""A client of the engine's signalling: docs/reference/contracts.md, "Signalling"."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import aiohttp

SUBPROTOCOL = "callfleet.v1"
ANSWER_SECONDS = 15.0
MAX_MESSAGE = 256 * 1024

Message = dict[str, Any]


class SignallingError(Exception):
    """The engine answered `error`; `code` and `retry_after` (seconds or None) are its own."""

    def __init__(self, message: Message) -> None:
        super().__init__(f"{message.get('message')} {message.get('remedy', '')}".strip())
        self.code: str = message.get("code", "internal")
        after = message.get("retryAfterMs")
        self.retry_after: float | None = None if after is None else after / 1000


class SignallingClosedError(Exception):
    """The WebSocket cannot be opened, or has ended."""


class SignallingClient:
    """One WebSocket. Requests are matched to answers by id; all else comes out of `messages`."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        """`base` is the engine's address, such as http://127.0.0.1:8080."""
        self._session = session
        self._url = base.rstrip("/") + "/api/v1/signal"
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._unasked: asyncio.Queue[Message | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises SignallingClosedError if there is no engine."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._socket = await self._session.ws_connect(
                    self._url, protocols=[SUBPROTOCOL], max_msg_size=MAX_MESSAGE
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SignallingClosedError(f"{self._url}: {error!r}") from error
        self._reader = asyncio.create_task(self._read(self._socket))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    continue
                message = json.loads(frame.data)
                waiting = self._waiting.pop(message.get("id"), None)
                if waiting is None:
                    self._unasked.put_nowait(message)
                elif not waiting.done():
                    waiting.set_result(message)
        finally:
            self._unasked.put_nowait(None)
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(SignallingClosedError("the engine closed the WebSocket"))

    async def send(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 (JSON values)
        """Send a message that has no answer. Raises SignallingClosedError."""
        if self._socket is None or self._socket.closed:
            raise SignallingClosedError("the WebSocket is closed")
        try:
            await self._socket.send_json({"type": kind, **fields})
        except (ConnectionError, aiohttp.ClientError) as error:
            raise SignallingClosedError(repr(error)) from error

    async def ask(self, kind: str, **fields: Any) -> Message:  # noqa: ANN401 (JSON values)
        """Send a message and return its answer.

        Raises:
            SignallingError: the answer is an error.
            SignallingClosedError: no answer within 15 s, or the WebSocket ended.
        """
        number = next(self._ids)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self.send(kind, id=number, **fields)
            async with asyncio.timeout(ANSWER_SECONDS):
                message = await answer
        except TimeoutError as error:
            raise SignallingClosedError(f"no answer to {kind} within {ANSWER_SECONDS} s") from error
        finally:
            self._waiting.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()
        if message.get("type") == "error":
            raise SignallingError(message)
        return message

    async def messages(self) -> AsyncIterator[Message]:
        """What the engine sends unasked, until the WebSocket ends."""
        while (message := await self._unasked.get()) is not None:
            yield message

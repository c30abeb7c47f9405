"""What is on its way to one client: bounded, sent in order by one task."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSCloseCode, web

from callfleet_engine.signalling.messages import ServerMessage

logger = logging.getLogger(__name__)

MAX_MESSAGES = 512
"""Enough for everybody of a full call to come and go while a client is stalled for a moment."""

MAX_BYTES = 4 * 1024 * 1024

SEND_SECONDS = 10.0

CLOSE_CODES: dict[str, int] = {
    "left": WSCloseCode.OK,
    "ended": WSCloseCode.OK,
    "replaced": WSCloseCode.OK,
    "media_lost": WSCloseCode.OK,
    "pod_terminated": WSCloseCode.GOING_AWAY,
    "reconnect": WSCloseCode.SERVICE_RESTART,
    "full": WSCloseCode.TRY_AGAIN_LATER,
    "draining": WSCloseCode.TRY_AGAIN_LATER,
    "sealed": WSCloseCode.TRY_AGAIN_LATER,
    "no_relay": WSCloseCode.TRY_AGAIN_LATER,
    "store_unavailable": WSCloseCode.TRY_AGAIN_LATER,
    "internal": WSCloseCode.INTERNAL_ERROR,
}
"""By reason of an end or error code; all others are POLICY_VIOLATION (RFC 6455, section 7.4.1)."""


class SocketOutbox:
    """Queues without waiting; `run` sends until it is closed or the client does not keep up."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(MAX_MESSAGES)
        self._queued_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._closed = False
        self._close_code: int | None = None
        self.close_reason = ""

    def send(self, message: ServerMessage) -> None:
        """Queue a message; nothing happens once it is closed."""
        self.send_text(message.to_json())

    def send_text(self, text: str) -> None:
        """Queue a message that is JSON already."""
        if not self._closed:
            self._put(text)

    def close(self, code: str) -> None:
        """Close the socket once everything queued has been sent."""
        if not self._closed:
            self.close_reason = code
            self._put(None)
            self._closed = True

    async def run(self) -> None:
        """Send what is queued. Returns when the socket is closed, by whomever."""
        self._sender = asyncio.current_task()
        try:
            while (text := await self._queue.get()) is not None:
                self._queued_bytes -= len(text)
                async with asyncio.timeout(SEND_SECONDS):
                    await self._socket.send_str(text)
                # An offer has 10 kB, and the next message may not come for long.
                text = ""
        except (ConnectionError, TimeoutError) as error:
            logger.info("a client is not to be reached", extra={"error": repr(error)})
        finally:
            self._closed = True

    def close_with(self, code: int) -> None:
        """Close with a code that was decided elsewhere."""
        self._close_code = code
        self.close("passed on")

    @property
    def closing(self) -> bool:
        """Whether `close` was called, or the client was cut off."""
        return bool(self.close_reason)

    @property
    def close_code(self) -> int:
        """What the WebSocket is closed with; the client's own code when it closed first."""
        if self._close_code is not None:
            return self._close_code
        if not self.close_reason:
            return WSCloseCode.OK
        return CLOSE_CODES.get(self.close_reason, WSCloseCode.POLICY_VIOLATION)

    def _put(self, text: str | None) -> None:
        self._queued_bytes += len(text or "")
        if not self._queue.full() and self._queued_bytes <= MAX_BYTES:
            self._queue.put_nowait(text)
        else:
            logger.warning("a client does not read its messages and is cut off")
            self._closed = True
            self.close_reason = "too_slow"
            if self._sender:
                self._sender.cancel()

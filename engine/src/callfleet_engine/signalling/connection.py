"""One socket of signalling: waits for `join`, then is a session here or passes to another pod."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSMsgType, web

from callfleet_engine.errors import CallError
from callfleet_engine.signalling.forwarding import Passage, Refused
from callfleet_engine.signalling.messages import (
    BadMessage,
    ClientMessage,
    Error,
    Join,
    MessageId,
    parse,
)
from callfleet_engine.signalling.outbox import SocketOutbox
from callfleet_engine.signalling.rate import TokenBucket
from callfleet_engine.signalling.reception import Placing, Reception
from callfleet_engine.signalling.session import Session
from callfleet_engine.store.interface import Owner

logger = logging.getLogger(__name__)

JOIN_SECONDS = 10.0
"""From the socket's opening to its `join`."""

CLOSE_SECONDS = 5.0
MESSAGES_PER_SECOND = 50
MESSAGES_AT_ONCE = 200


class Connection:
    """From the handshake to the close."""

    def __init__(
        self, reception: Reception, socket: web.WebSocketResponse, *, forwarded: bool
    ) -> None:
        """`forwarded`: another pod sent this join here, so it is not passed on again."""
        self._reception = reception
        self._socket = socket
        self._forwarded = forwarded
        self._outbox = SocketOutbox(socket)

    async def run(self, transport: asyncio.Transport | None) -> None:
        """Serve until either side closes. What the client is owed is sent before."""
        reader = asyncio.create_task(self._serve())
        writer = asyncio.create_task(self._outbox.run())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and (error := reader.exception()):
                logger.error("signalling failed", exc_info=error)
                self._refuse(_internal(), None)
            if self._outbox.closing:
                await asyncio.wait({writer})
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.wait({reader, writer})
            await self._close(transport)

    async def _close(self, transport: asyncio.Transport | None) -> None:
        reason = self._outbox.close_reason
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=self._outbox.close_code, message=reason.encode())
        except TimeoutError:
            if transport:
                transport.abort()

    async def _serve(self) -> None:
        message_id: MessageId = None
        try:
            text = await self._first_message()
            message = parse(text)
            message_id = message.id
            served = await self._place(text, _required_join(message))
        except BadMessage as error:
            self._refuse(error, error.id)
        except CallError as error:
            self._refuse(error, message_id)
        except Refused as error:
            self._outbox.send_text(error.answer)
            self._outbox.close(error.code or "internal")
        except _Gone:
            return
        else:
            del text, message  # a conversation is long
            await self._go_on(served)

    async def _go_on(self, served: Passage | Session) -> None:
        match served:
            case Passage():
                self._outbox.close_with(await self._reception.forwarder.run(served, self._socket))
            case Session():
                try:
                    await self._converse(served)
                finally:
                    served.socket_closed(self._outbox)

    async def _first_message(self) -> str:
        """Raises CallError, _Gone."""
        self._reception.waiting += 1
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                return await self._receive()
        except TimeoutError as error:
            raise CallError(
                "not_joined",
                f"No join came within {JOIN_SECONDS:.0f} seconds.",
                "Send join as the first message.",
            ) from error
        finally:
            self._reception.waiting -= 1

    async def _place(self, text: str, join: Join) -> Passage | Session:
        """Who serves the join. Raises CallError, Refused."""
        reception = self._reception

        async def pass_on(owner: Owner) -> Passage:
            return await reception.forwarder.open(owner, text)

        placing = Placing(reception, join, self._outbox, forwarded=self._forwarded)
        placed = await placing.place(pass_on)
        return placed if isinstance(placed, Passage) else Session(reception.host, *placed)

    async def _converse(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        bucket = TokenBucket(
            per_second=MESSAGES_PER_SECOND, burst=MESSAGES_AT_ONCE, now=loop.time()
        )

        async def take_next() -> bool:
            # Of its own, so that an answer's description is not kept until the next message comes.
            text = await self._receive()
            if bucket.take(loop.time()):
                await session.handle(parse(text))
                return True
            self._outbox.send(Error.of(_too_fast()))
            self._outbox.close("bad_message")
            return False

        goes_on = True
        while goes_on:
            try:
                goes_on = await take_next()
            except BadMessage as error:
                self._outbox.send(Error.of(error, error.id))
            except _Gone:
                return

    async def _receive(self) -> str:
        """The next message. Raises BadMessage, _Gone."""
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is WSMsgType.BINARY:
            raise BadMessage("The message is binary.", None)
        raise _Gone

    def _refuse(self, error: CallError, message_id: MessageId) -> None:
        self._reception.metrics.admission_rejected.labels(error.code).inc()
        self._outbox.send(Error.of(error, message_id))
        self._outbox.close(error.code)


class _Gone(Exception):  # noqa: N818 - no error: the client has closed
    """The socket is closed."""


def _required_join(message: ClientMessage) -> Join:
    if not isinstance(message, Join):
        raise CallError("not_joined", "Nobody has joined here yet.", "Send join first.")
    return message


def _too_fast() -> CallError:
    return CallError(
        "bad_message",
        f"More than {MESSAGES_PER_SECOND} messages a second came.",
        "Send fewer; the call can be resumed.",
    )


def _internal() -> CallError:
    return CallError(
        "internal",
        "The engine has met an error of its own.",
        "Connect again; the call can be resumed for a few seconds.",
        retry_after_ms=0,
    )

"""One socket of signalling: waits for `join`, then is a session here or passes to another pod."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from callfleet_engine.calls.host import CallHost
from callfleet_engine.calls.ownership import OwnedElsewhere
from callfleet_engine.errors import CallError, ErrorCode
from callfleet_engine.metrics import Metrics
from callfleet_engine.signalling.entry import Entry, Here, There
from callfleet_engine.signalling.forwarding import Forwarder, NotServed, Passage, Refused
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
from callfleet_engine.signalling.session import Session

logger = logging.getLogger(__name__)

JOIN_SECONDS = 10.0
"""From the socket's opening to its `join`."""

PLACE_SECONDS = 30.0
"""From `join` to its answer, all tries included."""

CLOSE_SECONDS = 5.0
MESSAGES_PER_SECOND = 50
MESSAGES_AT_ONCE = 200
PLACE_ROUNDS = 4
RETRY_AFTER_MS = 3_000

ELSEWHERE: frozenset[ErrorCode] = frozenset({"full", "draining", "sealed", "wrong_pod"})
"""Refusals of a new call that another pod may take."""

GONE: frozenset[ErrorCode] = frozenset({"draining", "sealed", "wrong_pod"})
"""Refusals by an owner that has the call no more."""


@dataclass(slots=True)
class Reception:
    """What all sockets of a pod share."""

    uid: str
    entry: Entry
    host: CallHost
    forwarder: Forwarder
    metrics: Metrics
    waiting: int = 0
    """Sockets without a join."""


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
        self._excluded: set[str] = set()

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
        except _Gone:
            return
        else:
            await self._go_on(served)

    async def _go_on(self, served: Passage | Session | None) -> None:
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

    async def _place(self, text: str, join: Join) -> Passage | Session | None:
        """Who serves the join; None when the owner's refusal was passed on. Raises CallError."""
        last = _unreachable("No pod took the call in time.")
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                for _ in range(PLACE_ROUNDS):
                    try:
                        return await self._try(text, join)
                    except _TryElsewhere as error:
                        last = error.refusal
        except TimeoutError as error:
            raise last from error
        raise last

    async def _try(self, text: str, join: Join) -> Passage | Session | None:
        """Raises CallError, _TryElsewhere."""
        entry = self._reception.entry
        if self._forwarded:
            return await self._enter(await entry.local(join), join)
        match await entry.route(join, self._excluded):
            case Here() as here:
                return await self._enter(here, join)
            case There() as there:
                return await self._pass_on(there, text)

    async def _enter(self, here: Here, join: Join) -> Session:
        host = self._reception.host
        try:
            call, participant = await host.enter(here.entrance, self._outbox, join.id)
        except CallError as error:
            hosted = host.has(room=here.entrance.room, call=None) is not None
            if hosted or self._forwarded or error.code not in ELSEWHERE:
                raise
            self._excluded.add(self._reception.uid)
            raise _TryElsewhere(error) from error
        except OwnedElsewhere as error:
            if self._forwarded:
                raise _wrong_pod() from error
            raise _TryElsewhere(_wrong_pod()) from error
        return Session(host, call, participant)

    async def _pass_on(self, there: There, text: str) -> Passage | None:
        owner = there.owner
        try:
            return await self._reception.forwarder.open(owner, text)
        except NotServed as error:
            logger.info(
                "a pod did not take a join",
                extra={"owner": owner.uid, "code": error.code, "detail": str(error)},
            )
            if there.placed and (error.code is None or error.code in ELSEWHERE):
                self._excluded.add(owner.uid)
                raise _TryElsewhere(_unreachable("No pod took the call.")) from error
            if error.code in GONE:
                raise _TryElsewhere(_unreachable("The call's pod has changed.")) from error
            if not isinstance(error, Refused):
                raise _unreachable("The call's pod cannot be reached.") from error
            self._outbox.send_text(error.answer)
            self._outbox.close(error.code or "internal")
            return None

    async def _converse(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        bucket = TokenBucket(
            per_second=MESSAGES_PER_SECOND, burst=MESSAGES_AT_ONCE, now=loop.time()
        )
        while True:
            try:
                text = await self._receive()
                if not bucket.take(loop.time()):
                    self._outbox.send(Error.of(_too_fast()))
                    self._outbox.close("bad_message")
                    return
                await session.handle(parse(text))
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


class _TryElsewhere(Exception):  # noqa: N818 - no error: another round
    """This pod does not take the join; `refusal` is the answer if no other does."""

    def __init__(self, refusal: CallError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _required_join(message: ClientMessage) -> Join:
    if not isinstance(message, Join):
        raise CallError("not_joined", "Nobody has joined here yet.", "Send join first.")
    return message


def _unreachable(message: str) -> CallError:
    return CallError(
        "wrong_pod",
        message,
        "Try again in a few seconds: the call of a pod that is gone moves to another one.",
        retry_after_ms=RETRY_AFTER_MS,
    )


def _wrong_pod() -> CallError:
    return CallError("wrong_pod", "Another pod owns this call.", "Look the call's owner up again.")


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

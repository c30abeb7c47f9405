"""Passing a client's signalling on to the pod that owns its call.

The owner's first message is read, for it may refuse what another pod would take; from then on
messages pass both ways unread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
from aiohttp import WSCloseCode, web

from callfleet_engine.calls.host import RECONNECT_SPREAD_MS
from callfleet_engine.errors import ErrorCode, error_code
from callfleet_engine.signalling.messages import SUBPROTOCOL, Reconnect
from callfleet_engine.store.interface import Owner

logger = logging.getLogger(__name__)

Upstream = aiohttp.ClientWebSocketResponse

OWNER_HEADER = "Callfleet-Owner"
SIGNAL_PATH = "/api/v1/signal"
DEFAULT_PORT = 8080
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
SEND_SECONDS = 10.0
HEARTBEAT_SECONDS = 15.0
_HANDSHAKE_CODES: dict[int, ErrorCode] = {421: "wrong_pod", 503: "sealed"}
NEVER_SENT = frozenset({1005, 1006, 1015})
"""Close codes that stand for what no peer has said (RFC 6455, section 7.4.1)."""

PASSED_BACK = frozenset(
    {
        "accept-patch",
        "allow",
        "content-type",
        "etag",
        "link",
        "location",
        "retry-after",
        "www-authenticate",
    }
)
"""Headers of another pod's answer that reach the client."""

MAX_SERVER_MESSAGE_BYTES = 4 * 1024 * 1024
"""A server's offers and lists grow with the call; clients' messages stay far below."""


class NotServed(Exception):  # noqa: N818 - named for what is the case
    """The pod did not take the join; `code` is why, None when it could not be reached."""

    def __init__(self, code: ErrorCode | None, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Refused(NotServed):
    """The owner answered the join with an error; `answer` is it."""

    def __init__(self, code: ErrorCode, answer: str) -> None:
        super().__init__(code, answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Request:
    """A request of HTTP as another pod is to get it."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other pod answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class RefusedRequest(Refused):
    """The owner answered a request with an error that another pod might not have."""

    def __init__(self, code: ErrorCode, answer: Answer) -> None:
        super().__init__(code, answer.body.decode(errors="replace"))
        self.response = answer


class Passage:
    """One client's way to another pod."""

    def __init__(self, upstream: Upstream, first: str) -> None:
        self._upstream = upstream
        self._first = first
        self._ended: asyncio.Future[Reconnect] = asyncio.get_running_loop().create_future()

    def end(self, last: Reconnect) -> None:
        """Close the client's socket after this message."""
        if not self._ended.done():
            self._ended.set_result(last)

    async def run(self, client: web.WebSocketResponse) -> int:
        """Pass messages both ways until either side closes; the close code for the client."""
        try:
            await self._pass(client)
            if self._ended.done():
                await _send(client, self._ended.result().to_json())
        except (ConnectionError, TimeoutError) as error:
            logger.info("passage ended", extra={"error": repr(error)})
        finally:
            await self._upstream.close()
        if self._ended.done():
            return WSCloseCode.SERVICE_RESTART
        code = self._upstream.close_code
        return WSCloseCode.GOING_AWAY if code is None or code in NEVER_SENT else code

    async def _pass(self, client: web.WebSocketResponse) -> None:
        await _send(client, self._first)
        directions = [
            asyncio.create_task(_pump(client, self._upstream)),
            asyncio.create_task(_pump(self._upstream, client)),
        ]
        ends: list[asyncio.Future[Any]] = [*directions, self._ended]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stop(directions)


class Forwarder:
    """Opens passages, and ends all of them when this pod is sealed."""

    def __init__(self, client: aiohttp.ClientSession, random: Random) -> None:
        self._client = client
        self._random = random
        self._passages: set[Passage] = set()
        self._sealed = False

    async def open(self, owner: Owner, join: str) -> Passage:
        """Connect to the owner and hand it the join as it came. Raises NotServed."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                upstream = await self._client.ws_connect(
                    f"ws://{with_port(owner.address)}{SIGNAL_PATH}",
                    protocols=(SUBPROTOCOL,),
                    headers={OWNER_HEADER: owner.uid},
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MAX_SERVER_MESSAGE_BYTES,
                )
        except aiohttp.WSServerHandshakeError as error:
            detail = f"{owner.address} answered {error.status}"
            raise NotServed(_HANDSHAKE_CODES.get(error.status), detail) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotServed(None, f"{owner.address}: {error!r}") from error
        return await self._hand_over(upstream, owner, join)

    async def ask(self, owner: Owner, request: Request) -> Answer:
        """Have the owner answer a request. Raises NotServed; RefusedRequest for 421 and 503."""
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._client.request(
                    request.method,
                    f"http://{with_port(owner.address)}{request.path}",
                    headers=[*request.headers, (OWNER_HEADER, owner.uid)],
                    data=request.body,
                    allow_redirects=False,
                ) as response,
            ):
                answer = Answer(
                    response.status,
                    tuple(h for h in response.headers.items() if h[0].lower() in PASSED_BACK),
                    await response.content.read(MAX_SERVER_MESSAGE_BYTES),
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotServed(None, f"{owner.address}: {error!r}") from error
        if answer.status in _HANDSHAKE_CODES:
            raise RefusedRequest(_problem_code(answer.body), answer)
        return answer

    async def run(self, passage: Passage, client: web.WebSocketResponse) -> int:
        """Let messages pass; the close code for the client."""
        self._passages.add(passage)
        if self._sealed:
            self._end(passage)
        try:
            return await passage.run(client)
        finally:
            self._passages.discard(passage)

    def end_all(self) -> None:
        """Send all who pass through here elsewhere, spread over a moment."""
        self._sealed = True
        for passage in self._passages:
            self._end(passage)

    def _end(self, passage: Passage) -> None:
        passage.end(Reconnect(after_ms=self._random.randrange(RECONNECT_SPREAD_MS)))

    async def _hand_over(self, upstream: Upstream, owner: Owner, join: str) -> Passage:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await upstream.send_str(join)
                message = await upstream.receive()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await upstream.close()
            raise NotServed(None, f"{owner.address}: {error!r}") from error
        if message.type is not aiohttp.WSMsgType.TEXT:
            await upstream.close()
            raise NotServed(None, f"{owner.address} closed without an answer")
        refused = refusal_code(message.data)
        if refused is not None:
            await upstream.close()
            raise Refused(refused, message.data)
        return Passage(upstream, message.data)


def refusal_code(answer: str) -> ErrorCode | None:
    """The error code of an answer, None if it is no error."""
    content = json.loads(answer)
    if content.get("type") != "error":
        return None
    return error_code(str(content.get("code")))


def _problem_code(body: bytes) -> ErrorCode:
    try:
        content = json.loads(body)
    except ValueError:
        return "internal"
    return error_code(str(content.get("code"))) if isinstance(content, dict) else "internal"


def with_port(address: str) -> str:
    """`host:port` of an address that may lack the port, with brackets around IPv6."""
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    return address if address.rpartition("]")[2].count(":") else f"{address}:{DEFAULT_PORT}"


async def _send(to: web.WebSocketResponse | Upstream, message: str) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await to.send_str(message)


async def _pump(
    source: web.WebSocketResponse | Upstream, sink: web.WebSocketResponse | Upstream
) -> None:
    async for message in source:
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        await _send(sink, message.data)


async def _stop(directions: list[asyncio.Task[None]]) -> None:
    """End both; a side that broke off has ended its direction with an error of its own."""
    for direction in directions:
        direction.cancel()
    await asyncio.wait(directions)
    for direction in directions:
        if not direction.cancelled() and (error := direction.exception()) is not None:
            logger.info("passage broke off", extra={"error": repr(error)})

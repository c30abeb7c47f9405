"""`GET /api/v1/signal`: which handshakes are accepted, and the socket of each."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aiohttp import web

from callfleet_engine.errors import HTTP_STATUS, CallError
from callfleet_engine.signalling.connection import Connection
from callfleet_engine.signalling.forwarding import OWNER_HEADER, SIGNAL_PATH
from callfleet_engine.signalling.messages import MAX_MESSAGE_BYTES, SUBPROTOCOL, Error
from callfleet_engine.signalling.origin import allowed
from callfleet_engine.signalling.reception import Reception

HEARTBEAT_SECONDS = 15.0
CLOSE_SECONDS = 5.0
MAX_WAITING = 1_000
"""Sockets without a join, at any one time."""

RETRY_AFTER_MS = 3_000


class Signalling:
    """Serves `GET /api/v1/signal`."""

    def __init__(
        self,
        *,
        uid: str,
        reception: Reception,
        allowed_origins: Collection[str],
        is_sealed: Callable[[], bool],
    ) -> None:
        self._uid = uid
        self._reception = reception
        self._allowed_origins = allowed_origins
        self._is_sealed = is_sealed

    def add_routes(self, app: web.Application) -> None:
        """Serve it here."""
        app.router.add_get(SIGNAL_PATH, self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One client's signalling, from handshake to close."""
        try:
            self._check_handshake(request)
        except CallError as error:
            self._reception.metrics.admission_rejected.labels(error.code).inc()
            return refusal(error)
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=HEARTBEAT_SECONDS,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=CLOSE_SECONDS,
            # A client's deflate and inflate would keep more memory than all else of its signalling.
            compress=False,
        )
        await socket.prepare(request)
        forwarded = OWNER_HEADER in request.headers
        await Connection(self._reception, socket, forwarded=forwarded).run(request.transport)
        return socket

    def _check_handshake(self, request: web.Request) -> None:
        owner = request.headers.get(OWNER_HEADER)
        if owner is not None and owner != self._uid:
            raise CallError(
                "wrong_pod",
                f"This is pod {self._uid}, not {owner}.",
                "Look the call's owner up again.",
            )
        if not allowed(request.headers.get("Origin"), request.host, self._allowed_origins):
            raise CallError(
                "not_permitted",
                "Pages of this origin may not connect.",
                "Serve the page from the engine's own address, or have the origin added to "
                "--allowed-origins.",
            )
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in (protocol.strip() for protocol in offered.split(",")):
            raise CallError(
                "bad_message",
                f"The WebSocket subprotocol {SUBPROTOCOL} was not offered.",
                f"Connect with the subprotocol {SUBPROTOCOL}.",
            )
        if self._is_sealed():
            raise CallError(
                "sealed",
                "This engine pod is out of service.",
                "Connect again: another pod will answer.",
                retry_after_ms=RETRY_AFTER_MS,
            )
        if self._reception.waiting >= MAX_WAITING:
            raise CallError(
                "full",
                "Too many connections wait to join.",
                "Try again in a few seconds.",
                retry_after_ms=RETRY_AFTER_MS,
            )


def refusal(error: CallError) -> web.Response:
    """An error as REST answers it."""
    headers = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-error.retry_after_ms // 1000))
    return web.Response(
        status=HTTP_STATUS[error.code],
        text=Error.of(error).to_json(),
        content_type="application/json",
        headers=headers,
    )

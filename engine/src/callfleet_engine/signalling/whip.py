"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): publishing and receiving by a POST.

A session is a participant of the room's call. Each pod takes each request and passes it on to the
pod that owns the call, as it does with WebSockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from aiohttp import ETag, web
from multidict import CIMultiDict
from pydantic import ValidationError

from callfleet_engine.calls.host import Entrance
from callfleet_engine.calls.ownership import Ownership
from callfleet_engine.errors import CallError
from callfleet_engine.signalling.access import require
from callfleet_engine.signalling.forwarding import (
    OWNER_HEADER,
    Answer,
    NotServed,
    RefusedRequest,
    Request,
)
from callfleet_engine.signalling.http_session import HttpOutbox, HttpSession, Protocol
from callfleet_engine.signalling.messages import MAX_MESSAGE_BYTES, Join
from callfleet_engine.signalling.origin import allowed
from callfleet_engine.signalling.problems import Problem
from callfleet_engine.signalling.reception import Placing, Reception, wrong_pod
from callfleet_engine.signalling.sdpfrag import BadFragment, parse_fragment
from callfleet_engine.store.interface import Owner
from callfleet_engine.tokens import Permission

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
BODY_SECONDS = 10.0
PERMISSION: dict[Protocol, Permission] = {
    "whip": Permission.PUBLISH,
    "whep": Permission.SUBSCRIBE,
}
PASSED_ON = ("Authorization", "Content-Type", "If-Match")
"""Headers of the client that the owner of its call sees."""

EXPOSED = "Accept-Patch, ETag, Link, Location, Retry-After"


class Whip:
    """Serves `/whip/{room}` and `/whep/{room}`, and the sessions below them."""

    def __init__(
        self, *, reception: Reception, ownership: Ownership, allowed_origins: Collection[str]
    ) -> None:
        self._reception = reception
        self._ownership = ownership
        self._allowed_origins = allowed_origins
        self._sessions: dict[str, HttpSession] = {}

    @property
    def sessions(self) -> int:
        """How many there are on this pod."""
        return len(self._sessions)

    def add_routes(self, app: web.Application) -> None:
        """Serve them here."""
        for protocol in PERMISSION:
            app.router.add_route("*", f"/{protocol}/{{room}}", partial(self._serve, protocol))
            app.router.add_route(
                "*", f"/{protocol}/{{room}}/{{session}}", partial(self._serve, protocol)
            )

    async def _serve(self, protocol: Protocol, request: web.Request) -> web.Response:
        try:
            self._check(request)
            response = await self._answer(protocol, request)
        except Problem as problem:
            response = problem.response()
        except CallError as error:
            self._reception.metrics.admission_rejected.labels(error.code).inc()
            response = self._problem(protocol, request, error).response()
        except RefusedRequest as refused:
            response = _response(refused.response)
        origin = request.headers.get("Origin")
        if origin and allowed(origin, request.host, self._allowed_origins):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            response.headers["Vary"] = "Origin"
        return response

    def _check(self, request: web.Request) -> None:
        owner = request.headers.get(OWNER_HEADER)
        if owner is not None and owner != self._reception.uid:
            raise wrong_pod()
        if not allowed(request.headers.get("Origin"), request.host, self._allowed_origins):
            raise CallError(
                "not_permitted",
                "Pages of this origin may not connect.",
                "Serve the page from the engine's own address, or have the origin added to "
                "--allowed-origins.",
            )

    @staticmethod
    def _problem(protocol: Protocol, request: web.Request, error: CallError) -> Problem:
        if error.code == "wrong_pod" and OWNER_HEADER not in request.headers:
            return Problem.of(error, 503)
        if error.code == "unknown_call" and protocol == "whep":
            # draft-ietf-wish-whep: nobody publishes yet.
            return Problem.of(error, 409)
        return Problem.of(error)

    async def _answer(self, protocol: Protocol, request: web.Request) -> web.Response:
        """Raises Problem, CallError, RefusedRequest."""
        session = request.match_info.get("session")
        methods = "OPTIONS, POST" if session is None else "DELETE, OPTIONS, PATCH"
        match request.method:
            case "OPTIONS":
                return _options(methods)
            case "POST" if session is None:
                return await self._create(protocol, request)
            case "PATCH" if session is not None:
                return await self._patch(protocol, request)
            case "DELETE" if session is not None:
                return await self._delete(protocol, request)
        raise Problem(
            405,
            "method_not_allowed",
            f"{request.method} has no meaning here.",
            f"Use one of {methods}.",
            headers={"Allow": methods},
        )

    async def _create(self, protocol: Protocol, request: web.Request) -> web.Response:
        body = await _body(request, SDP)
        outbox = HttpOutbox()
        placing = Placing(
            self._reception, _join(request), outbox, forwarded=OWNER_HEADER in request.headers
        )

        async def pass_on(owner: Owner) -> Answer:
            return await self._reception.forwarder.ask(owner, _passed_on(request, body))

        placed = await placing.place(pass_on, partial(_admit, PERMISSION[protocol]))
        if isinstance(placed, Answer):
            return _response(placed)
        session = HttpSession(protocol, *placed, outbox)
        with ExitStack() as undo:
            undo.callback(self._reception.host.leave, *placed, "left")
            answer = await session.begin(_text(body))
            undo.pop_all()
        self._keep(session)
        headers = CIMultiDict(
            {
                "Location": f"/{protocol}/{session.call.room}/{session.id}",
                "ETag": f'"{session.etag}"',
                "Accept-Patch": FRAGMENT,
            }
        )
        headers.extend(("Link", link) for link in ice_server_links(outbox.ice_servers))
        return web.Response(status=201, text=answer, content_type=SDP, headers=headers)

    def _keep(self, session: HttpSession) -> None:
        if session.outbox.closed:
            raise _unknown_session()
        self._sessions[session.id] = session
        session.outbox.on_close = partial(self._sessions.pop, session.id, None)

    async def _patch(self, protocol: Protocol, request: web.Request) -> web.Response:
        body = await _body(request, FRAGMENT)
        session = await self._session(protocol, request, body)
        if isinstance(session, Answer):
            return _response(session)
        tags: tuple[ETag, ...] | None = request.if_match
        if tags is None:
            raise Problem(
                428,
                "precondition_required",
                "The request has no If-Match.",
                "Send the ETag of the 201 response, or * to restart ICE (RFC 9725, section 4.3.1).",
            )
        try:
            fragment = parse_fragment(_text(body))
        except BadFragment as error:
            raise Problem(
                400,
                "bad_sdp",
                f"The body is no usable fragment of SDP: {error}.",
                "Send candidates and credentials as RFC 8840, section 9, has them.",
            ) from error
        answer = await session.patch(fragment, tags)
        if answer is None:
            return web.Response(status=204)
        headers = CIMultiDict({"ETag": f'"{session.etag}"'})
        headers.extend(("Link", link) for link in ice_server_links(session.outbox.ice_servers))
        return web.Response(text=answer, content_type=FRAGMENT, headers=headers)

    async def _delete(self, protocol: Protocol, request: web.Request) -> web.Response:
        session = await self._session(protocol, request, b"")
        if isinstance(session, Answer):
            return _response(session)
        self._reception.host.leave(session.call, session.participant, "left")
        return web.Response(status=200)

    async def _session(
        self, protocol: Protocol, request: web.Request, body: bytes
    ) -> HttpSession | Answer:
        """The session here, or what its pod answered. Raises Problem, CallError."""
        room = request.match_info["room"]
        session = self._sessions.get(request.match_info["session"])
        if session is not None and (session.protocol, session.call.room) == (protocol, room):
            return session
        if OWNER_HEADER in request.headers or self._reception.host.has(room=room, call=None):
            raise _unknown_session()
        route = await self._ownership.find(room=room, call=None)
        if route is None or route.owner_uid == self._reception.uid:
            raise _unknown_session()
        owner = Owner(route.owner_uid, route.owner_address)
        try:
            return await self._reception.forwarder.ask(owner, _passed_on(request, body))
        except RefusedRequest as refused:
            if refused.code == "wrong_pod":
                raise _unknown_session() from refused
            raise
        except NotServed as error:
            raise Problem(
                503,
                "wrong_pod",
                "The session's pod cannot be reached.",
                "Try again in a few seconds; if media has ended, POST a new offer.",
                retry_after_seconds=3,
            ) from error


def ice_server_links(servers: Collection[dict[str, object]]) -> list[str]:
    """The `Link` headers of an RTCIceServer list (RFC 9725, section 4.6)."""
    links = []
    for server in servers:
        urls = server["urls"]
        credentials = ""
        if "username" in server:
            credentials = (
                f'; username="{server["username"]}"; credential="{server["credential"]}"'
                '; credential-type="password"'
            )
        links += [
            f'<{url}>; rel="ice-server"{credentials}'
            for url in (urls if isinstance(urls, list) else [urls])
        ]
    return links


def _admit(permission: Permission, entrance: Entrance) -> Entrance:
    """One direction is all that such a client has. Raises CallError `not_permitted`."""
    grant = entrance.grant
    require(grant, permission)
    can = grant.can & {permission, Permission.START}
    return replace(entrance, grant=replace(grant, can=can), client_offers=True)


def _join(request: web.Request) -> Join:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        return Join(
            type="join",
            room=request.match_info["room"],
            token=token.strip() if scheme.lower() == "bearer" else None,
            name=request.query.get("name", ""),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Problem(
            400,
            "bad_message",
            f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}.",
            "A room has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ -, a name none below space.",
        ) from error


async def _body(request: web.Request, content_type: str) -> bytes:
    """Raises Problem 415, 413, 408."""
    if request.content_type != content_type:
        raise Problem(
            415,
            "unsupported_media_type",
            f"The content type is {request.content_type}.",
            f"Send {content_type}.",
            headers={"Accept-Post" if content_type == SDP else "Accept-Patch": content_type},
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.content.read(MAX_MESSAGE_BYTES + 1)
            while len(body) <= MAX_MESSAGE_BYTES and not request.content.at_eof():
                body += await request.content.read(MAX_MESSAGE_BYTES + 1)
    except TimeoutError as error:
        raise Problem(
            408,
            "bad_message",
            f"The body did not come within {BODY_SECONDS:.0f} seconds.",
            "Send it with the request.",
        ) from error
    if len(body) > MAX_MESSAGE_BYTES:
        raise Problem(
            413,
            "bad_message",
            f"The body is longer than {MAX_MESSAGE_BYTES} bytes.",
            "Offer fewer m-lines, codecs or candidates.",
        )
    return body


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "bad_sdp", "The body is not UTF-8.", "Send SDP as text.") from error


def _options(methods: str) -> web.Response:
    return web.Response(
        headers={
            "Allow": methods,
            "Accept-Post": SDP,
            "Accept-Patch": FRAGMENT,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
            "Access-Control-Max-Age": "7200",
        }
    )


def _passed_on(request: web.Request, body: bytes) -> Request:
    headers = tuple((name, request.headers[name]) for name in PASSED_ON if name in request.headers)
    return Request(request.method, request.path_qs, headers, body)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=CIMultiDict(answer.headers))


def _unknown_session() -> Problem:
    return Problem(
        404,
        "unknown_session",
        "There is no such session: it has ended, or its call has moved to another pod.",
        "POST a new offer.",
    )

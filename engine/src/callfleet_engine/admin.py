"""The admin interface: docs/reference/contracts.md, "Admin interface"."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from callfleet_engine.admin_auth import AdminGuard, AdminTokenRefused
from callfleet_engine.admin_calls import AdminCalls
from callfleet_engine.calls.moving import Batches, Mover
from callfleet_engine.calls.relay_moving import RelayMover
from callfleet_engine.drain import Drain, DrainConflict, Occupancy
from callfleet_engine.turn.relays import MAX_RELAYS, Relay, RelayDirectory

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Json(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class DrainRequest(_Json):
    """Body of drain, undrain and seal."""

    pod_uid: Identifier
    drain_id: Identifier


class ReconnectRequest(DrainRequest):
    """Body of reconnect."""

    batch_participants: int = Field(50, ge=1, le=10_000)
    batch_milliseconds: int = Field(1_000, ge=100, le=60_000)


class LeftRelay(_Json):
    """A relay that clients are to leave."""

    pool: Annotated[str, StringConstraints(max_length=300)] = ""
    pod: Annotated[str, StringConstraints(min_length=1, max_length=253)]


class Address(_Json):
    """An address of the media port that clients are told, and where it comes from."""

    address: str
    port: int
    source: str


class Status(_Json):
    """Answer to `GET /admin/v1/status`."""

    version: Literal[1] = 1
    component: Literal["engine"] = "engine"
    release: str
    pod_name: str
    pod_uid: str
    admission: str
    drain_id: str | None
    started_at: str
    calls: int
    participants: int
    pending_joins: int
    capacity_participants: int
    stress: dict[str, float]
    relays: int
    addresses: tuple[Address, ...]
    address_problem: str
    """What is awaited while there is no address; empty if there is one."""


_DRAIN = TypeAdapter(DrainRequest)
_RECONNECT = TypeAdapter(ReconnectRequest)
_LEFT_RELAYS: TypeAdapter[tuple[LeftRelay, ...]] = TypeAdapter(
    Annotated[tuple[LeftRelay, ...], Field(max_length=MAX_RELAYS)]
)
_RELAYS: TypeAdapter[tuple[Relay, ...]] = TypeAdapter(
    Annotated[tuple[Relay, ...], Field(max_length=MAX_RELAYS)]
)


class Admin:
    """Serves the operator, one call at a time in the event loop's thread."""

    def __init__(
        self,
        *,
        pod_uid: str,
        drain: Drain,
        mover: Mover,
        occupancy: Callable[[], Occupancy],
        status: Callable[[], Status],
        relays: RelayDirectory,
        relay_mover: RelayMover,
        calls: AdminCalls,
        guard: AdminGuard | None,
    ) -> None:
        """`guard` None: no key is configured, and whoever reaches the port may call."""
        self._pod_uid = pod_uid
        self._drain = drain
        self._mover = mover
        self._occupancy = occupancy
        self._status = status
        self._relays = relays
        self._relay_mover = relay_mover
        self._calls = calls
        self._guard = guard

    def app(self) -> web.Application:
        """The application to serve on the admin port."""
        app = web.Application(middlewares=[self._checked], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/admin/v1/status", self.status)
        app.router.add_post("/admin/v1/drain", self.drain)
        app.router.add_delete("/admin/v1/drain", self.undrain)
        app.router.add_post("/admin/v1/reconnect", self.reconnect)
        app.router.add_post("/admin/v1/seal", self.seal)
        app.router.add_put("/admin/v1/relays", self.put_relays)
        app.router.add_post("/admin/v1/leave-relays", self.leave_relays)
        self._calls.add_routes(app)
        return app

    async def status(self, _: web.Request) -> web.Response:
        """How the pod is."""
        return _json(self._status().model_dump_json(by_alias=True))

    async def drain(self, request: web.Request) -> web.Response:
        """Take no new calls."""
        asked = await self._drain_request(request)
        self._drain.begin(asked.drain_id)
        return self._admission()

    async def undrain(self, request: web.Request) -> web.Response:
        """Take new calls again."""
        asked = await self._drain_request(request)
        self._drain.cancel(asked.drain_id)
        return self._admission()

    async def reconnect(self, request: web.Request) -> web.Response:
        """Give the calls up to other pods, batch by batch; answers with what is left."""
        asked = _parse(_RECONNECT, await request.read())
        self._require_me(asked)
        self._mover.begin(
            asked.drain_id, Batches(asked.batch_participants, asked.batch_milliseconds)
        )
        left = self._occupancy()
        return web.json_response({"calls": left.calls, "joins": left.joins})

    async def seal(self, request: web.Request) -> web.Response:
        """Take nothing ever again, if nothing is left."""
        asked = await self._drain_request(request)
        self._drain.seal(asked.drain_id, self._occupancy())
        return self._admission()

    async def put_relays(self, request: web.Request) -> web.Response:
        """Replace the relays that clients are given."""
        relays: tuple[Relay, ...] = _parse(_RELAYS, await request.read())
        self._relays.replace(relays)
        return web.Response(status=204)

    async def leave_relays(self, request: web.Request) -> web.Response:
        """Give the clients of these relays others."""
        relays: tuple[LeftRelay, ...] = _parse(_LEFT_RELAYS, await request.read())
        self._relay_mover.begin([(relay.pool, relay.pod) for relay in relays])
        return web.Response(status=204)

    async def _drain_request(self, request: web.Request) -> DrainRequest:
        asked = _parse(_DRAIN, await request.read())
        self._require_me(asked)
        return asked

    def _require_me(self, asked: DrainRequest) -> None:
        if asked.pod_uid != self._pod_uid:
            raise _Refusal(409, "wrong_pod", f"This is pod {self._pod_uid}.")

    def _admission(self) -> web.Response:
        return web.json_response({"admission": self._drain.admission.value})

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if self._guard:
                self._guard.check(request.headers.get("Authorization"))
            return await handler(request)
        except AdminTokenRefused as error:
            logger.warning("admin call refused", extra={"code": error.code})
            return _error(401, error.code, error.message)
        except DrainConflict as error:
            left = {}
            if error.occupancy:
                left = {"calls": error.occupancy.calls, "joins": error.occupancy.joins}
            return _error(409, error.code, error.message, left)
        except _Refusal as error:
            return _error(error.status, error.code, str(error))


class _Refusal(Exception):  # noqa: N818 - a status and a code
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _parse(adapter: TypeAdapter[T], body: bytes) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise _Refusal(400, "bad_request", f"{field}: {first['msg']}.") from error


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


def _error(
    status: int, code: str, message: str, more: dict[str, int] | None = None
) -> web.Response:
    return web.json_response({"code": code, "message": message, **(more or {})}, status=status)

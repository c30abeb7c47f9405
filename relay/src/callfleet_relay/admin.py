"""The two HTTP interfaces: admin for the operator; metrics and health for who watches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address

from aiohttp import web
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from callfleet_relay.allocator import MAX_ALTERNATIVES
from callfleet_relay.drain import Admission, AdmissionConflictError
from callfleet_relay.metrics import registry
from callfleet_relay.peers import PeerEntry
from callfleet_relay.relay import Relay
from callfleet_relay.tokens import TokenError, TokenVerifier

MAX_BODY = 1 << 20
MAX_PEERS = 20_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _DrainBody(_Body):
    pod_uid: str = Field(min_length=1, max_length=253)
    drain_id: str = Field(min_length=1, max_length=253)


class _PeerBody(_Body):
    address: IPv4Address | IPv6Address
    port: int | None = Field(default=None, ge=1, le=65535)


class _AlternativeBody(_Body):
    address: IPv4Address | IPv6Address
    port: int = Field(ge=1, le=65535)


_PEERS = TypeAdapter(list[_PeerBody])
_ALTERNATIVES = TypeAdapter(list[_AlternativeBody])


def admin_app(relay: Relay, verifier: TokenVerifier | None) -> web.Application:
    """Port 9091. Without a verifier no token is asked for: loopback only."""
    admin = _Admin(relay)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors(verifier)])
    app.router.add_get("/admin/v1/status", admin.status)
    app.router.add_post("/admin/v1/drain", admin.drain)
    app.router.add_delete("/admin/v1/drain", admin.undrain)
    app.router.add_post("/admin/v1/seal", admin.seal)
    app.router.add_put("/admin/v1/peers", admin.peers)
    app.router.add_put("/admin/v1/alternatives", admin.alternatives)
    return app


def metrics_app(relay: Relay) -> web.Application:
    """Port 9090."""
    exported = registry(relay)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(exported), headers={"Content-Type": content_type})

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        sealed = relay.gate.state is Admission.SEALED
        return web.json_response(
            {"admission": relay.gate.state.value}, status=503 if sealed else 200
        )

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthy)
    app.router.add_get("/readyz", ready)
    return app


class _Admin:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def status(self, _: web.Request) -> web.Response:
        return web.json_response(self._relay.status())

    async def drain(self, request: web.Request) -> web.Response:
        self._relay.drain(await self._drain_id(request))
        return self._admission()

    async def undrain(self, request: web.Request) -> web.Response:
        self._relay.undrain(await self._drain_id(request))
        return self._admission()

    async def seal(self, request: web.Request) -> web.Response:
        self._relay.seal(await self._drain_id(request))
        return self._admission()

    async def peers(self, request: web.Request) -> web.Response:
        entries = _PEERS.validate_json(await request.read())
        if len(entries) > MAX_PEERS:
            return _error(400, "bad_request", f"At most {MAX_PEERS} peers, not {len(entries)}.")
        self._relay.replace_peers([PeerEntry(entry.address, entry.port) for entry in entries])
        return web.Response(status=204)

    async def alternatives(self, request: web.Request) -> web.Response:
        entries = _ALTERNATIVES.validate_json(await request.read())
        if len(entries) > MAX_ALTERNATIVES:
            text = f"At most {MAX_ALTERNATIVES} alternatives, not {len(entries)}."
            return _error(400, "bad_request", text)
        self._relay.replace_alternatives([(str(each.address), each.port) for each in entries])
        return web.Response(status=204)

    async def _drain_id(self, request: web.Request) -> str:
        body = _DrainBody.model_validate_json(await request.read())
        own = self._relay.settings.pod_uid
        if body.pod_uid != own:
            raise AdmissionConflictError("wrong_pod", f"This is pod {own}, not {body.pod_uid}.")
        return body.drain_id

    def _admission(self) -> web.Response:
        return web.json_response({"admission": self._relay.gate.state.value})


def _errors(verifier: TokenVerifier | None) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Checks the token, then turns what a handler raises into the contract's error body."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if verifier is not None:
                verifier.verify(request.headers.get("Authorization"))
            return await handler(request)
        except TokenError as error:
            return _error(401, error.code, error.message)
        except AdmissionConflictError as error:
            return _error(409, error.code, error.message, **error.details)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "body"
            return _error(400, "bad_request", f"{field}: {first['msg']}")
        except web.HTTPException as error:
            return _error(error.status, "bad_request", error.reason)

    return middleware


def _error(status: int, code: str, message: str, **details: int) -> web.Response:
    return web.json_response({"code": code, "message": message, **details}, status=status)

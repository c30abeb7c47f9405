"""The admin port of a pod, speaking the contract: an engine or a relay without any media."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from aiohttp import web


@dataclass
class PodServer:
    """One pod's admin interface on an address of loopback."""

    name: str
    uid: str
    component: str
    keys: dict[str, Any]
    """JWK Set of the operator."""
    used: int = 0
    """Participants or allocations."""
    calls: int = 0
    admission: str = "open"
    drain_id: str | None = None
    terminating: bool = False
    """It was told to end."""
    hindered: str = ""
    """Code of what keeps it from moving its calls."""
    capacity: int = 10
    told: list[dict[str, Any]] | None = None
    """Relays or peers as pushed last."""
    left: list[dict[str, Any]] | None = None
    """Relays that its clients were last to leave."""
    public: dict[str, Any] | None = None
    """How a STUN server sees a relay, as it says itself."""
    address_problem: str = ""
    """Why an engine has no address for clients."""
    lie: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    """Answers in its place, whatever is asked."""
    log: list[tuple[datetime, str, int]] = field(default_factory=list)
    """Time, call and status of each answer, in order."""
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/admin/v1/status", self._status),
                web.post("/admin/v1/drain", self._drain),
                web.delete("/admin/v1/drain", self._undrain),
                web.post("/admin/v1/reconnect", self._reconnect),
                web.post("/admin/v1/seal", self._seal),
                web.put("/admin/v1/relays", self._put),
                web.put("/admin/v1/peers", self._put),
                web.post("/admin/v1/leave-relays", self._leave),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()
        self.port = self._runner.addresses[0][1]

    def sealed_at(self) -> datetime | None:
        """When it first said 200 to a seal."""
        return next((at for at, call, code in self.log if (call, code) == ("POST seal", 200)), None)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
        if self.lie is not None:
            return await self.lie(request)
        try:
            self._verify(request)
            response: web.StreamResponse = await handler(request)
        except _RefusalError as refusal:
            response = web.json_response(refusal.body, status=refusal.status)
        call = f"{request.method} {request.path.rsplit('/', 1)[1]}"
        self.log.append((datetime.now(UTC), call, response.status))
        return response

    def _verify(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise _RefusalError(401, "token_missing")
        known = {key["kid"]: jwt.PyJWK.from_dict(key) for key in self.keys["keys"]}
        try:
            key = known[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self.uid,
                issuer="callfleet-operator",
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.InvalidAudienceError:
            raise _RefusalError(401, "wrong_audience") from None
        except jwt.ExpiredSignatureError:
            raise _RefusalError(401, "token_expired") from None
        except (KeyError, jwt.InvalidTokenError):
            raise _RefusalError(401, "token_invalid") from None
        if claims["exp"] - claims["iat"] > 60:
            raise _RefusalError(401, "token_invalid")

    async def _status(self, _request: web.Request) -> web.Response:
        figures: dict[str, Any] = (
            {"allocations": self.used, "allocationCapacity": self.capacity}
            if self.component == "relay"
            else {
                "participants": self.used,
                "pendingJoins": 0,
                "calls": self.calls,
                "capacityParticipants": self.capacity,
            }
        )
        return web.json_response(
            {
                "version": 1,
                "component": self.component,
                "podName": self.name,
                "podUid": self.uid,
                "admission": self.admission,
                "drainId": self.drain_id,
                "stress": {"packets": 0.0, "cpu": 0.0, "loop": 0.0},
                **({"public": self.public} if self.public is not None else {}),
                "addressProblem": self.address_problem,
                **figures,
            }
        )

    async def _drain(self, request: web.Request) -> web.Response:
        body = await self._addressed(request)
        if self.admission == "sealed":
            raise _RefusalError(409, "sealed")
        self.admission, self.drain_id = "draining", body["drainId"]
        return web.json_response({"admission": "draining"})

    async def _undrain(self, request: web.Request) -> web.Response:
        body = await self._addressed(request)
        if self.admission == "sealed":
            raise _RefusalError(409, "sealed")
        if self.terminating:
            raise _RefusalError(409, "terminating")
        if self.admission == "draining" and self.drain_id != body["drainId"]:
            raise _RefusalError(409, "not_draining")
        self.admission, self.drain_id = "open", None
        return web.json_response({"admission": "open"})

    async def _seal(self, request: web.Request) -> web.Response:
        body = await self._addressed(request)
        if self.admission == "open":
            raise _RefusalError(409, "not_draining")
        if self.drain_id != body["drainId"]:
            raise _RefusalError(409, "not_draining")
        if self.used or self.calls:
            counts = (
                {"allocations": self.used}
                if self.component == "relay"
                else {"calls": self.calls, "joins": 0}
            )
            raise _RefusalError(409, "not_empty", counts)
        self.admission = "sealed"
        return web.json_response({"admission": "sealed"})

    async def _reconnect(self, request: web.Request) -> web.Response:
        """Its calls leave by and by: whoever plays them takes them away."""
        body = await self._addressed(request)
        if self.admission == "sealed":
            raise _RefusalError(409, "sealed")
        if self.admission == "open" or self.drain_id != body["drainId"]:
            raise _RefusalError(409, "not_draining")
        if self.hindered:
            raise _RefusalError(409, self.hindered)
        return web.json_response({"calls": self.calls, "joins": 0})

    async def _put(self, request: web.Request) -> web.Response:
        self.told = json.loads(await request.text())
        return web.Response(status=204)

    async def _leave(self, request: web.Request) -> web.Response:
        self.left = json.loads(await request.text())
        return web.Response(status=204)

    async def _addressed(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        if body.get("podUid") != self.uid:
            raise _RefusalError(409, "wrong_pod")
        return body


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, counts: dict[str, int] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "message": f"refused: {code}", **(counts or {})}

"""The real API server behind something that goes wrong now and then: an HTTP proxy.

It answers some requests by itself, as an API server does that is overloaded, restarts or hangs, and
passes all others on.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from tests.callfleet_operator.reconcile.cable import redirect, server_of

PASSED_ON = ("Content-Type", "Accept", "User-Agent")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """What happens to the next `times` requests that match."""

    matches: Callable[[web.Request], bool]
    answer: Answer
    times: int = 1
    met: int = 0


def status(code: int, reason: str, message: str, **headers: str) -> Answer:
    """A Status object, as the API server refuses with it."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        body |= {"reason": reason, "message": message}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=code, headers=named)

    return answer


def watch_error(code: int, reason: str) -> Answer:
    """A watch that begins well and then says that it cannot go on."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        told = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason}
        await response.write(json.dumps({"type": "ERROR", "object": told}).encode() + b"\n")
        return response

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """The connection ends without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(_request: web.Request) -> web.StreamResponse:
    """Nothing comes until the other side gives up."""
    await asyncio.Event().wait()
    raise AssertionError


async def fall_silent(request: web.Request) -> web.StreamResponse:
    """A watch that begins well and tells nothing, until the other side gives up."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    return await hang(request)


@dataclass
class FaultyApi:
    url: str
    session: aiohttp.ClientSession
    faults: list[Fault] = field(default_factory=list)
    _watches: set[asyncio.Transport] = field(default_factory=set)

    def cut_watches(self) -> None:
        """End all watches that run, in the middle of it."""
        for transport in tuple(self._watches):
            transport.abort()

    def next(self, matches: Callable[[web.Request], bool], answer: Answer, times: int = 1) -> Fault:
        fault = Fault(matches, answer, times)
        self.faults.append(fault)
        return fault

    async def serve(self, request: web.Request) -> web.StreamResponse:
        for fault in self.faults:
            if fault.met < fault.times and fault.matches(request):
                fault.met += 1
                return await fault.answer(request)
        if "watch" not in request.query:
            return await self._pass_on(request)
        assert request.transport is not None
        self._watches.add(request.transport)
        try:
            return await self._pass_on(request)
        finally:
            self._watches.discard(request.transport)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        async with self.session.request(
            request.method,
            self.url + request.path_qs,
            data=await request.read() or None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            response = web.StreamResponse(
                status=answer.status,
                headers={"Content-Type": answer.headers.get("Content-Type", "text/plain")},
            )
            try:
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            finally:
                # Merely closed, what is left of a watch over TLS outlives the session.
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()
            return response


def watches(resource: str) -> Callable[[web.Request], bool]:
    """Watches of a kind, by its plural."""
    return lambda request: request.path.endswith(f"/{resource}") and "watch" in request.query


def writes(resource: str, method: str = "PATCH") -> Callable[[web.Request], bool]:
    """Writes of a kind, by its plural."""
    return lambda request: request.method == method and f"/{resource}" in request.path


@asynccontextmanager
async def faulty_api(kubeconfig: Path, through: Path) -> AsyncIterator[FaultyApi]:
    """One before the server of a kubeconfig; writes another kubeconfig that goes `through` it."""
    host, port = server_of(kubeconfig)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=_credentials(kubeconfig, through.parent), limit=0)
    )
    made = FaultyApi(f"https://{host}:{port}", session)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        redirect(kubeconfig, f"http://127.0.0.1:{runner.addresses[0][1]}", through)
        yield made
    finally:
        await runner.cleanup()
        await session.close()


def _credentials(kubeconfig: Path, folder: Path) -> ssl.SSLContext:
    config = yaml.safe_load(kubeconfig.read_text())
    (cluster,), (user,) = config["clusters"], config["users"]
    files = {}
    for name, holder in (
        ("certificate-authority", cluster["cluster"]),
        ("client-certificate", user["user"]),
        ("client-key", user["user"]),
    ):
        files[name] = folder / f"{name}.pem"
        files[name].write_bytes(_content(holder, name))
    context = ssl.create_default_context(cafile=str(files["certificate-authority"]))
    context.load_cert_chain(files["client-certificate"], files["client-key"])
    return context


def _content(holder: dict[str, Any], name: str) -> bytes:
    if f"{name}-data" in holder:
        return base64.b64decode(holder[f"{name}-data"])
    return Path(holder[name]).read_bytes()

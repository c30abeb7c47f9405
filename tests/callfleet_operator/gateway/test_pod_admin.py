"""Admin calls against a server that speaks the contract, and against others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web

from callfleet_operator.gateway.admin_key import AdminKey
from callfleet_operator.gateway.pod_admin import (
    ANSWER_LIMIT,
    Ok,
    Pod,
    PodAdmin,
    Refused,
    Unreachable,
)
from tests.callfleet_operator.gateway.pod_server import PodServer

KEY = AdminKey.generate()
MakeAdmin = Callable[..., PodAdmin]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def engine() -> AsyncIterator[PodServer]:
    server = PodServer("a-engine-0", "uid-0", "engine", KEY.jwk_set())
    await server.start()
    yield server
    await server.stop()


def admin(session: aiohttp.ClientSession, key: AdminKey = KEY, **settings: object) -> PodAdmin:
    chosen = {"timeout": 5.0, "concurrency": 4, "now": time.time} | settings
    return PodAdmin(session, key, **chosen)  # type: ignore[arg-type] # a table of settings


def target(server: PodServer) -> Pod:
    return Pod("127.0.0.1", server.uid, server.port)


async def test_drain_then_seal(session: aiohttp.ClientSession, engine: PodServer) -> None:
    operator = admin(session)
    assert await operator.seal(target(engine), "d1") == Refused(
        "not_draining", "refused: not_draining"
    )
    assert await operator.drain(target(engine), "d1") == Ok({"admission": "draining"})
    engine.calls = 2
    refused = await operator.seal(target(engine), "d1")
    assert isinstance(refused, Refused)
    assert (refused.code, dict(refused.counts)) == ("not_empty", {"calls": 2, "joins": 0})
    engine.calls = 0
    assert await operator.seal(target(engine), "d1") == Ok({"admission": "sealed"})
    assert await operator.seal(target(engine), "d1") == Ok({"admission": "sealed"})
    again = await operator.drain(target(engine), "d1")
    assert isinstance(again, Refused)
    assert again.code == "sealed"


async def test_calls_are_moved_by_the_drain_in_force(
    session: aiohttp.ClientSession, engine: PodServer
) -> None:
    operator = admin(session)
    engine.calls = 2
    early = await operator.reconnect(target(engine), "d1")
    assert early == Refused("not_draining", "refused: not_draining")
    await operator.drain(target(engine), "d1")
    assert await operator.reconnect(target(engine), "d1") == Ok({"calls": 2, "joins": 0})
    engine.hindered = "no_room"
    assert await operator.reconnect(target(engine), "d1") == Refused("no_room", "refused: no_room")


async def test_a_drain_is_taken_back_until_the_seal(
    session: aiohttp.ClientSession, engine: PodServer
) -> None:
    operator = admin(session)
    assert await operator.undrain(target(engine), "d1") == Ok({"admission": "open"})
    await operator.drain(target(engine), "d1")
    other = await operator.undrain(target(engine), "d2")
    assert isinstance(other, Refused)
    assert other.code == "not_draining"
    assert await operator.undrain(target(engine), "d1") == Ok({"admission": "open"})
    await operator.drain(target(engine), "d3")
    await operator.seal(target(engine), "d3")
    late = await operator.undrain(target(engine), "d3")
    assert isinstance(late, Refused)
    assert late.code == "sealed"


async def test_relays_and_peers(session: aiohttp.ClientSession, engine: PodServer) -> None:
    operator = admin(session)
    assert await operator.put_relays(target(engine), [{"pod": "r-0", "urls": []}]) == Ok()
    assert engine.told == [{"pod": "r-0", "urls": []}]
    assert await operator.put_peers(target(engine), []) == Ok()
    assert engine.told == []
    left = [{"pool": "a/b", "pod": "r-0"}]
    assert await operator.leave_relays(target(engine), left) == Ok()
    assert engine.left == left


@pytest.mark.parametrize(
    ("key", "clock", "code"),
    [
        (AdminKey.generate(), time.time, "token_invalid"),
        (KEY, lambda: time.time() - 120, "token_expired"),
    ],
)
async def test_a_token_that_is_not_good(
    session: aiohttp.ClientSession,
    engine: PodServer,
    key: AdminKey,
    clock: Callable[[], float],
    code: str,
) -> None:
    outcome = await admin(session, key, now=clock).status(target(engine))
    assert isinstance(outcome, Refused)
    assert outcome.code == code


async def test_a_token_is_for_one_pod_only(
    session: aiohttp.ClientSession, engine: PodServer
) -> None:
    outcome = await admin(session).drain(Pod("127.0.0.1", "another", engine.port), "d1")
    assert isinstance(outcome, Refused)
    assert outcome.code == "wrong_audience"
    assert engine.admission == "open"


async def test_the_address_of_another_pod_gives_no_status(
    session: aiohttp.ClientSession, engine: PodServer
) -> None:
    class Unguarded(PodServer):
        def _verify(self, request: web.Request) -> None:
            """Believes everybody, as a pod without a key does."""

    other = Unguarded("b-0", "uid-of-b", "engine", {"keys": []})
    await other.start()
    try:
        outcome = await admin(session).status(Pod("127.0.0.1", "uid-of-a", other.port))
    finally:
        await other.stop()
    assert outcome == Unreachable("another pod answers at this address")


async def test_nobody_listens(session: aiohttp.ClientSession) -> None:
    outcome = await admin(session).status(Pod("127.0.0.1", "uid-0", 1))
    assert isinstance(outcome, Unreachable)


async def test_what_answers_yes_to_anything_has_sealed_nothing(
    session: aiohttp.ClientSession, engine: PodServer
) -> None:
    async def yes(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    engine.lie = yes
    outcome = await admin(session).seal(target(engine), "d1")
    assert outcome == Unreachable("HTTP 200 that does not say sealed")


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (web.Response(text="hello"), "HTTP 200 without a JSON object"),
        (web.Response(text="[]"), "HTTP 200 without a JSON object"),
        (web.Response(body=b" " * (ANSWER_LIMIT + 1)), f"an answer of more than {ANSWER_LIMIT}"),
        (web.json_response({"code": "internal", "message": "oops"}, status=500), "HTTP 500: oops"),
        (web.json_response({"code": 7}, status=409), "HTTP 409"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "HTTP 302"),
    ],
)
async def test_an_answer_that_is_none(
    session: aiohttp.ClientSession, response: web.Response, detail: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return response

    app = web.Application()
    app.add_routes([web.get("/admin/v1/status", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        outcome = await admin(session).status(Pod("127.0.0.1", "u", runner.addresses[0][1]))
    finally:
        await runner.cleanup()
    assert isinstance(outcome, Unreachable)
    assert outcome.detail.startswith(detail)


class Slow:
    """Pods that take a call and answer only when they are told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.active = 0
        self.most = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await self.go_on.wait()
        finally:
            self.active -= 1
        return web.json_response({"podUid": "nobody"})

    async def start(self) -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.add_routes([web.get("/admin/v1/status", self.answer)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]


async def test_a_pod_that_hangs(session: aiohttp.ClientSession) -> None:
    runner, port = await Slow().start()
    try:
        outcome = await admin(session, timeout=0.1).status(Pod("127.0.0.1", "u", port))
    finally:
        await runner.cleanup()
    assert outcome == Unreachable("no answer within 0.1 s")


async def test_many_pods_that_hang_hold_nobody_up(
    session: aiohttp.ClientSession, engine: PodServer
) -> None:
    slow = Slow()
    runner, port = await slow.start()
    pods = [target(engine)] + [Pod("127.0.0.1", f"u-{number}", port) for number in range(50)]
    try:
        outcomes = await admin(session, timeout=60.0, concurrency=4).statuses(pods, within=0.3)
    finally:
        slow.go_on.set()
        await runner.cleanup()
    assert slow.most <= 4
    assert isinstance(outcomes["uid-0"], Ok)
    assert len(outcomes) == 51
    assert all(isinstance(outcomes[f"u-{number}"], Unreachable) for number in range(50))


async def test_no_pods(session: aiohttp.ClientSession) -> None:
    assert await admin(session).statuses([], within=1.0) == {}

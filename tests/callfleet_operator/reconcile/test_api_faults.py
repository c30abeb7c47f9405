"""An API server that fails: the operator gets over it and says what has happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from callfleet_operator.gateway.resources import SECRETS
from callfleet_operator.reconcile.keys import Key, Kind
from tests.callfleet_operator.gateway.connections import uncounted
from tests.callfleet_operator.reconcile.faulty_api import (
    Answer,
    Fault,
    FaultyApi,
    cut,
    faulty_api,
    hang,
    status,
    watch_error,
    watches,
    writes,
)
from tests.callfleet_operator.reconcile.operators import Operator, arguments, operator, until
from tests.callfleet_operator.reconcile.specs import make_pool, pool_spec
from tests.callfleet_operator.reconcile.world import World

pytestmark = pytest.mark.api

NOBODY_AT = "http://127.0.0.1:1"
AWAY = status(503, "ServiceUnavailable", "the server is starting up")


@dataclass(frozen=True)
class Case:
    """A fault, and what the operator counts when it meets it; empty: the watches got over it."""

    matches: Callable[[web.Request], bool]
    answer: Answer
    cause: str = ""


CASES = {
    "watch-cut": Case(watches("turnpools"), cut),
    "watch-gone": Case(watches("turnpools"), watch_error(410, "Expired")),
    "watch-refused": Case(
        watches("turnpools"), status(429, "TooManyRequests", "wait", Retry_After="1")
    ),
    "watch-failed": Case(watches("turnpools"), status(500, "InternalError", "no leader")),
    "conflict": Case(
        writes("turnpools"), status(409, "Conflict", "has been modified"), "api-conflict"
    ),
    "too-many": Case(
        writes("turnpools"),
        status(429, "TooManyRequests", "please wait", Retry_After="1"),
        "api-unavailable",
    ),
    "internal": Case(
        writes("turnpools"), status(500, "InternalError", "etcd is away"), "api-unavailable"
    ),
    "hang": Case(writes("turnpools"), hang, "api-unavailable"),
    "cut": Case(writes("turnpools"), cut, "api-unavailable"),
}


@pytest.fixture
async def api(
    blind: World, operator_kubeconfig: Path, tmp_path: Path
) -> AsyncIterator[tuple[FaultyApi, Path]]:
    through = tmp_path / "kubeconfig"
    async with faulty_api(operator_kubeconfig, through) as made:
        yield made, through


@asynccontextmanager
async def started(
    world: World, kubeconfig: Path, log: Path, *options: str
) -> AsyncIterator[Operator]:
    more = ("--api-timeout-seconds=2", *options)
    async with operator(kubeconfig, log, *arguments(world, NOBODY_AT, *more)) as process:
        await process.listening()
        yield process


async def has_status(world: World, key: Key) -> bool:
    return bool((await world.status(key)).get("conditions"))


async def failed_rounds(process: Operator, cause: str) -> float:
    _, page = await process.page("/metrics")
    start = f'callfleet_operator_reconcile_errors_total{{cause="{cause}",kind="TurnPool"}} '
    return sum(float(line.removeprefix(start)) for line in page.splitlines() if start in line)


async def test_every_fault_is_got_over(
    blind: World, api: tuple[FaultyApi, Path], tmp_path: Path
) -> None:
    faulty, kubeconfig = api
    log = tmp_path / "log"
    async with started(blind, kubeconfig, log, "--no-leader-election") as process:
        first = await make_pool(blind)
        await until(lambda: has_status(blind, first), "the status of the first pool", process)
        for name, case in CASES.items():
            fault = faulty.next(case.matches, case.answer)
            faulty.cut_watches()  # those that run already, so that the next ones meet the fault
            before = await failed_rounds(process, case.cause)
            key = await blind.make(Kind.TURN_POOL, name, pool_spec())

            async def over(
                case: Case = case, key: Key = key, fault: Fault = fault, before: float = before
            ) -> bool:
                counted = not case.cause or await failed_rounds(process, case.cause) > before
                return fault.met == 1 and counted and await has_status(blind, key)

            await until(over, f"the status of a new pool after {name}", process)
        assert await failed_rounds(process, "bug") == 0
        assert process.process.returncode is None
    assert "please wait" in log.read_text()
    assert "no answer within 2 s" in log.read_text()


async def test_an_api_server_that_is_away_at_the_start(
    blind: World, api: tuple[FaultyApi, Path], tmp_path: Path
) -> None:
    faulty, kubeconfig = api
    outage = faulty.next(lambda _request: True, AWAY, times=1_000_000)
    async with started(blind, kubeconfig, tmp_path / "log") as process:

        async def waits() -> bool:
            return bool(process.lines("api-away"))

        await until(waits, "a line on the outage", process)
        code, _ = await process.page("/healthz")
        assert code == 200
        outage.times = 0
        key = await make_pool(blind)
        await until(lambda: has_status(blind, key), "a status", process)
    assert "the server is starting up" in process.lines("api-away")[0]["message"]


async def test_a_watch_that_cannot_go_on_ends_the_process_in_order(
    blind: World, api: tuple[FaultyApi, Path], tmp_path: Path
) -> None:
    """kopf gives up at what it does not know; another replica, or this one again, goes on."""
    faulty, kubeconfig = api
    faulty.next(watches("turnpools"), watch_error(500, "InternalError"))
    async with started(blind, kubeconfig, tmp_path / "one") as process:
        assert await process.exit_code() == 1
    said = process.log.read_text()
    assert "The watches have ended" in said
    assert "Watcher for turnpools" in said
    assert process.lines("lease-released")
    async with started(blind, kubeconfig, tmp_path / "two") as process:
        key = await make_pool(blind)
        await until(lambda: has_status(blind, key), "a status", process)


async def test_a_list_whose_pages_have_expired_begins_anew(
    blind: World, api: tuple[FaultyApi, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty, kubeconfig = api
    monkeypatch.setattr("callfleet_operator.gateway.kube.PAGE", 1)
    for number in range(3):
        await blind.secret(f"one-{number}")
    gone = faulty.next(
        lambda request: "continue" in request.query, status(410, "Expired", "too old")
    )
    async with uncounted(kubeconfig) as kube:
        found = await kube.list_all(SECRETS, blind.namespace)
    assert gone.met == 1
    assert {one["metadata"]["name"] for one in found} == {"one-0", "one-1", "one-2"}

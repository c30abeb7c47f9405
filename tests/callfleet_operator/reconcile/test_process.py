"""The whole operator as a process: watches, rounds, pages, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from callfleet_operator.gateway.admin_key import SECRET_NAME
from callfleet_operator.gateway.resources import PODS, SECRETS, TURN_POOLS
from callfleet_operator.reconcile.keys import Kind
from tests.callfleet_operator.gateway.prometheus_server import Server
from tests.callfleet_operator.reconcile.specs import make_pool, pool_spec
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

BOUND = 60.0


@dataclass
class Operator:
    process: asyncio.subprocess.Process
    address: str
    log: Path

    async def page(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.address}{path}") as response,
        ):
            return response.status, await response.text()


def arguments(world: World, prometheus_url: str) -> list[str]:
    return [
        "run",
        f"--namespace={world.namespace}",
        f"--operator-namespace={world.namespace}",
        f"--prometheus-url={prometheus_url}",
        "--engine-image=example.org/engine:1",
        "--relay-image=example.org/relay:1",
        "--metrics=127.0.0.1:0",
        "--tick-seconds=1",
    ]


@asynccontextmanager
async def operator(
    kubeconfig: Path, log: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "callfleet_operator",
            *options,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def running(
    here: World, operator_kubeconfig: Path, prometheus_server: Server, tmp_path: Path
) -> AsyncIterator[Operator]:
    log = tmp_path / "operator.log"
    options = arguments(here, prometheus_server.url)
    async with operator(operator_kubeconfig, log, *options) as process:
        assert process.stdout is not None
        async with asyncio.timeout(BOUND):
            line = await process.stdout.readline()
        assert line, log.read_text()
        said = json.loads(line)
        assert said["event"] == "listening"
        yield Operator(process, said["metrics"], log)


async def until(condition: Callable[[], Awaitable[bool]], running: Operator, what: str) -> None:
    try:
        async with asyncio.timeout(BOUND):
            while not await condition():  # noqa: ASYNC110  # it comes about in another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{what} did not come about:\n{running.log.read_text()[-4000:]}")


async def test_a_pool_is_made_watched_and_kept(here: World, running: Operator) -> None:
    mark = await here.mark()
    key = await make_pool(here)

    async def pod_there() -> bool:
        return await here.people.get(PODS, here.namespace, "relays-relay-0") is not None

    await until(pod_there, running, "the first pod")
    secret = await here.people.get(SECRETS, here.namespace, SECRET_NAME)
    assert secret is not None

    # The kubelet's word reaches it through the watch. Its key is not the world's: no admin calls.
    await here.kubelet()

    async def ready() -> bool:
        return (await here.condition(key, "Ready"))[0] == "True"

    await until(ready, running, "Ready")

    code, text = await running.page("/healthz")
    health = json.loads(text)
    assert (code, health["status"]) == (200, "ok")
    assert health["lastRoundAgeSeconds"]["TurnPool"] < BOUND
    _, metrics = await running.page("/metrics")
    assert 'callfleet_operator_desired_open{kind="TurnPool",name="relays"' in metrics
    assert 'callfleet_operator_reconcile_errors_total{cause="bug",kind="TurnPool"} 0.0' in metrics

    running.process.terminate()
    async with asyncio.timeout(BOUND):
        assert await running.process.wait() == 0

    # kopf itself has written nothing: no finalizer, no annotation, no event of its own.
    live = await here.people.get(TURN_POOLS, here.namespace, "relays")
    assert live is not None
    assert "finalizers" not in live["metadata"]
    assert "annotations" not in live["metadata"]
    agents = {event.user_agent.split("/")[0] for event in await here.writes(mark)}
    assert agents == {"callfleet-operator"}
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert [line for line in lines if line["severity"] in ("error", "fatal")] == []
    (created,) = [line for line in lines if line.get("event") == "pod-created"]
    assert created["pod"] == "relays-relay-0"


async def test_one_object_that_fails_stops_no_other(here: World, running: Operator) -> None:
    await here.people.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "blocked-relay-turn", "namespace": here.namespace},
            "data": {"secrets": ""},
        }
    )
    blocked = await here.make(Kind.TURN_POOL, "blocked", pool_spec())
    fine = await make_pool(here, "fine")

    async def conditions() -> bool:
        statuses = [await here.status(key) for key in (blocked, fine)]
        return all(status.get("conditions") for status in statuses)

    await until(conditions, running, "the status of both")
    assert (await here.condition(blocked, "Ready"))[1] == "NameConflict"
    assert (await here.condition(fine, "Ready"))[1] != "NameConflict"


async def test_without_rights_it_says_what_it_needs(here: World, tmp_path: Path) -> None:
    guest = here.api.kubeconfig_of("powerless")
    log = tmp_path / "log"
    options = arguments(here, "http://127.0.0.1:1")
    async with operator(guest, log, *options) as process, asyncio.timeout(BOUND):
        assert await process.wait() == 1
    said = log.read_text()
    assert "may not list callclusters in namespace" in said
    assert "--namespace" in said
    assert "Traceback" not in said

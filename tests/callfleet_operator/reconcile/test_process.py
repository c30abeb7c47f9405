"""The whole operator as a process: watches, rounds, pages, and its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callfleet_operator.gateway.admin_key import SECRET_NAME
from callfleet_operator.gateway.resources import PODS, SECRETS, TURN_POOLS
from callfleet_operator.reconcile.keys import Kind
from tests.callfleet_operator.gateway.prometheus_server import Server
from tests.callfleet_operator.reconcile.operators import (
    BOUND,
    Operator,
    arguments,
    operator,
    until,
)
from tests.callfleet_operator.reconcile.specs import make_pool, pool_spec
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]


@pytest.fixture
async def running(
    here: World, operator_kubeconfig: Path, prometheus_server: Server, tmp_path: Path
) -> AsyncIterator[Operator]:
    log = tmp_path / "operator.log"
    options = arguments(here, prometheus_server.url)
    async with operator(operator_kubeconfig, log, *options) as process:
        await process.listening()
        yield process


async def test_a_pool_is_made_watched_and_kept(here: World, running: Operator) -> None:
    mark = await here.mark()
    key = await make_pool(here)

    async def pod_there() -> bool:
        return await here.people.get(PODS, here.namespace, "relays-relay-0") is not None

    await until(pod_there, "the first pod", running)
    secret = await here.people.get(SECRETS, here.namespace, SECRET_NAME)
    assert secret is not None

    # The kubelet's word reaches it through the watch. Its key is not the world's: no admin calls.
    await here.kubelet.sync()

    async def ready() -> bool:
        return (await here.condition(key, "Ready"))[0] == "True"

    await until(ready, "Ready", running)

    code, text = await running.page("/healthz")
    health = json.loads(text)
    assert (code, health["status"]) == (200, "ok")
    assert health["lastRoundAgeSeconds"]["TurnPool"] < BOUND
    _, metrics = await running.page("/metrics")
    assert 'callfleet_operator_desired_open{kind="TurnPool",name="relays"' in metrics
    assert 'callfleet_operator_reconcile_errors_total{cause="bug",kind="TurnPool"} 0.0' in metrics

    running.process.terminate()
    assert await running.exit_code() == 0

    # kopf itself has written nothing: no finalizer, no annotation, no event of its own.
    live = await here.people.get(TURN_POOLS, here.namespace, "relays")
    assert live is not None
    assert "finalizers" not in live["metadata"]
    assert "annotations" not in live["metadata"]
    agents = {event.user_agent.split("/")[0] for event in await here.writes(mark)}
    assert agents == {"callfleet-operator"}
    assert [line for line in running.lines() if line["severity"] in ("error", "fatal")] == []
    (created,) = running.lines("pod-created")
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

    await until(conditions, "the status of both", running)
    assert (await here.condition(blocked, "Ready"))[1] == "NameConflict"
    assert (await here.condition(fine, "Ready"))[1] != "NameConflict"


async def test_without_rights_it_says_what_it_needs(here: World, tmp_path: Path) -> None:
    guest = here.api.kubeconfig_of("powerless")
    log = tmp_path / "log"
    options = arguments(here, "http://127.0.0.1:1")
    async with operator(guest, log, *options) as process:
        assert await process.exit_code() == 1
    said = log.read_text()
    assert "may not list callclusters in namespace" in said
    assert "--namespace" in said
    assert "Traceback" not in said

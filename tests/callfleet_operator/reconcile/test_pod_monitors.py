"""PodMonitors come with Prometheus Operator, go with it, and are missed by nobody.

The kind is Prometheus Operator's own; the operator writes with fieldValidation Strict, so that a
field which it does not know is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from callfleet_operator.gateway.resources import POD_MONITORS
from callfleet_operator.reconcile.pod_monitors import RECHECK
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World
from tests.cluster.go_modules import pod_monitor_crd
from tests.waiting import eventually, until

pytestmark = pytest.mark.api

NAME = "customresourcedefinition/podmonitors.monitoring.coreos.com"


async def kubectl(world: World, *arguments: str) -> str:
    return await asyncio.to_thread(world.api.kubectl, *arguments)


async def install(world: World) -> None:
    await kubectl(world, "apply", "--server-side", "-f", str(pod_monitor_crd()))
    # Where there are no conditions yet `kubectl wait` does not wait for them.
    wait = partial(world.api.kubectl, "wait", "--for=condition=Established", NAME, "--timeout=20s")
    await asyncio.to_thread(eventually, wait)
    await until(lambda: world.kube.serves(POD_MONITORS))


async def uninstall(world: World) -> None:
    await kubectl(world, "delete", NAME, "--ignore-not-found", "--wait=true")

    async def unserved() -> bool:
        return not await world.kube.serves(POD_MONITORS)

    await until(unserved)


@pytest.fixture
async def world(blind: World) -> AsyncIterator[World]:
    yield blind
    await uninstall(blind)


async def test_they_come_and_go_with_the_kind(world: World) -> None:
    pool, cluster = await make_pool(world), await make_cluster(world)
    mark = await world.mark()
    for key in (pool, cluster):
        await world.round(key)
    assert await world.writes(mark, "podmonitors") == []

    await install(world)
    world.later += timedelta(seconds=RECHECK)
    for key in (pool, cluster):
        await world.round(key)
    assert await kubectl(world, "get", "podmonitors", "-n", world.namespace, "-o=name") == (
        "podmonitor.monitoring.coreos.com/calls-engine\n"
        "podmonitor.monitoring.coreos.com/relays-relay\n"
    )
    live = await world.people.get(POD_MONITORS, world.namespace, "relays-relay")
    assert live is not None
    (owner,) = live["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("TurnPool", "relays")

    mark = await world.mark()
    for key in (pool, cluster):
        await world.round(key)
    assert await world.writes(mark, "podmonitors") == []

    await uninstall(world)
    for key in (pool, cluster):  # before the operator looks whether the kind is there
        await world.round(key)
    mark = await world.mark()
    for key in (pool, cluster):
        await world.round(key)
    assert await world.writes(mark, "podmonitors") == []


async def test_somebody_elses_is_left_alone(world: World) -> None:
    await install(world)
    await world.people.create(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": "relays-relay", "namespace": world.namespace},
            "spec": {"selector": {}, "podMetricsEndpoints": []},
        }
    )
    pool = await make_pool(world)
    await world.round(pool)
    live = await world.people.get(POD_MONITORS, world.namespace, "relays-relay")
    assert live is not None
    assert live["spec"] == {"selector": {}, "podMetricsEndpoints": []}
    assert "PodMonitor relays-relay" in (await world.condition(pool, "Ready"))[2]

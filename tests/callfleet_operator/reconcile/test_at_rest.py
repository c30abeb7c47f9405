"""What rounds do not do again while nothing says that they should; the audit log is the witness."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import CALL_CLUSTERS, SERVICES
from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.pace import Pace
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

OBJECTS = {"services", "configmaps", "controllerrevisions", "networkpolicies", "serviceaccounts"}
READS = ("get", "list")


@pytest.fixture
async def key(here: World) -> Key:
    """A CallCluster at rest, with as many others that nothing is compared without a cause."""
    key = await make_cluster(here)
    await here.settle(key)
    here.services.comparisons = Pace(asyncio.get_running_loop().time, a_second=0.1, at_once=0)
    return key


async def read(here: World, since: int) -> set[str]:
    """The kinds of which the operator has asked for objects."""
    return {event.resource for event in await here.requests(since) if event.verb in READS}


async def service_type(here: World) -> str:
    body: Any = await here.people.get(SERVICES, here.namespace, "calls-engine")
    return str(body["spec"]["type"])


async def resource(here: World, key: Key) -> Body:
    live = await here.people.get(CALL_CLUSTERS, key.namespace, key.name)
    assert live is not None
    return live


def tellings(here: World) -> int:
    """How often pods were told their relays."""
    return sum(call == "PUT relays" for pod in here.pods.values() for _, call, _ in pod.log)


async def test_objects_that_stand_are_not_read_again(here: World, key: Key) -> None:
    mark = await here.mark()
    await here.round(key)
    assert await read(here, mark) & OBJECTS == set()
    assert await here.writes(mark) == []


async def test_nor_by_the_next_operator_save_for_the_revisions(here: World, key: Key) -> None:
    await here.restart()
    mark = await here.mark()
    await here.round(key)
    await here.round(key)
    assert await read(here, mark) & OBJECTS == {"controllerrevisions"}


async def test_a_change_of_the_spec_is_applied_at_once(here: World, key: Key) -> None:
    patch = {"spec": {"signalling": {"serviceType": "NodePort"}}}
    await here.change(CALL_CLUSTERS, key.name, patch)
    await here.round(key)
    assert await service_type(here) == "NodePort"


async def test_the_next_operator_applies_what_was_changed_meanwhile(here: World, key: Key) -> None:
    patch = {"spec": {"signalling": {"serviceType": "NodePort"}}}
    await here.change(CALL_CLUSTERS, key.name, patch)
    await here.restart()
    await here.round(key)
    assert await service_type(here) == "NodePort"


async def test_what_somebody_else_changes_is_put_right_when_there_is_time(
    here: World, key: Key
) -> None:
    await here.change(SERVICES, "calls-engine", {"spec": {"type": "NodePort"}})
    await here.round(key)
    assert await service_type(here) == "NodePort"
    here.services.comparisons = Pace(asyncio.get_running_loop().time)
    await here.round(key)
    assert await service_type(here) == "ClusterIP"


async def test_a_resource_whose_events_were_missed_is_found_out(here: World, key: Key) -> None:
    resources = here.services.resources
    resources.saw(key, await resource(here, key))
    await here.change(
        CALL_CLUSTERS, key.name, {"spec": {"signalling": {"serviceType": "NodePort"}}}
    )
    await here.round(key)
    assert await service_type(here) == "ClusterIP"
    here.services.comparisons = Pace(asyncio.get_running_loop().time)
    await here.round(key)  # compared with what it was
    await here.round(key)
    assert await service_type(here) == "NodePort"


async def test_a_resource_whose_end_was_missed_is_found_out(here: World, key: Key) -> None:
    here.services.resources.saw(key, await resource(here, key))
    path = CALL_CLUSTERS.path(key.namespace, key.name)
    await here.people.client.request("delete", path, serialize=False)
    here.services.comparisons = Pace(asyncio.get_running_loop().time)
    for _ in range(2):
        with suppress(RoundError):  # its objects are garbage that may be collected already
            await here.round(key)
    assert key not in here.services.memories


async def test_only_what_is_told_first_after_a_start_waits(here: World, key: Key) -> None:
    here.services.first_tellings = Pace(asyncio.get_running_loop().time, a_second=0.1, at_once=0)
    await here.restart()
    here.services.started += timedelta(hours=1)
    pool = await make_pool(here)
    await here.change(
        CALL_CLUSTERS, key.name, {"spec": {"turn": {"poolRefs": [{"name": "relays"}]}}}
    )
    before = tellings(here)
    await here.round(key)
    assert tellings(here) == before  # an earlier operator has told it the same, as far as is known
    await here.settle(pool)
    await here.round(key)
    assert tellings(here) > before


async def test_what_is_told_again_is_told_at_a_pace(here: World, key: Key) -> None:
    before = tellings(here)
    await here.round(key)
    assert tellings(here) == before + 1
    here.services.tellings_again = Pace(asyncio.get_running_loop().time, a_second=0.1, at_once=0)
    await here.round(key)
    assert tellings(here) == before + 1


async def test_pods_are_told_once_until_they_get_ready_anew(here: World, key: Key) -> None:
    here.services.tell_again = 300
    await here.round(key)
    (pod,) = here.pods.values()
    before = tellings(here)
    await here.round(key)
    assert tellings(here) == before
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    path = {"status": {"conditions": [condition]}}
    await here.people.client.request(
        "patch",
        f"/api/v1/namespaces/{here.namespace}/pods/{pod.name}/status",
        body=path,
        content_type="application/merge-patch+json",
        serialize=False,
    )
    await here.round(key)
    assert tellings(here) == before + 1

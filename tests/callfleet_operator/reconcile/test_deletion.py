"""Fleets that are deleted while no operator runs: nothing waits for it."""

from __future__ import annotations

import pytest

from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import (
    BUDGETS,
    CALL_CLUSTERS,
    CONFIG_MAPS,
    NETWORK_POLICIES,
    PODS,
    REVISIONS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    TURN_POOLS,
)
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World
from tests.waiting import until

pytestmark = pytest.mark.api

MADE = (
    PODS, SERVICES, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, REVISIONS, BUDGETS, NETWORK_POLICIES,
)  # fmt: skip
BOUND = 60.0


async def test_everything_goes_with_its_owner_and_nothing_hangs(blind: World) -> None:
    pool = await make_pool(blind)
    cluster = await make_cluster(blind, turn={"poolRefs": [{"name": "relays"}]})
    await blind.settle(pool, cluster)
    made = await owned(blind)
    assert {one["kind"] for one in made} == {resource.kind for resource in MADE}
    assert [one["metadata"]["name"] for one in made if "finalizers" in one["metadata"]] == []
    blind.of("calls-engine-0").used = blind.of("calls-engine-0").calls = 2

    for resource, name in ((CALL_CLUSTERS, "calls"), (TURN_POOLS, "relays")):
        path = resource.path(blind.namespace, name)
        await blind.people.client.request("delete", path, serialize=False)
        assert await blind.people.get(resource, blind.namespace, name) is None, "it went at once"

    async def all_but_pods_are_gone() -> bool:
        return not await left_to_the_kubelet(blind)

    await until(all_but_pods_are_gone, within=BOUND)
    pods = await blind.list_pods()
    assert len(pods) == 2
    for pod in pods:  # with their grace, to end their calls
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        assert pod["metadata"]["deletionGracePeriodSeconds"] == grace > 0
    await blind.kubelet.sync()
    assert await owned(blind) == []
    theirs = {
        one["metadata"]["name"] for one in await blind.people.list_all(SECRETS, blind.namespace)
    }
    assert {"join-keys", "calls-db", "relay-keys"} <= theirs


async def owned(world: World) -> list[Body]:
    """What the operator has made for its custom resources."""
    found = [one for kind in MADE for one in await world.people.list_all(kind, world.namespace)]
    return [one for one in found if one["metadata"].get("ownerReferences")]


async def left_to_the_kubelet(world: World) -> bool:
    """Whether there is still anything but pods that are told to end."""
    return any("deletionTimestamp" not in one["metadata"] for one in await owned(world))

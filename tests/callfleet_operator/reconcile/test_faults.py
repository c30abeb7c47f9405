"""What befalls a fleet from outside: it is said, and no call ends by the operator's doing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import NODES, PODS, SECRETS, TURN_POOLS
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = pytest.mark.api

RELAYS: Body = {"turn": {"poolRefs": [{"name": "relays"}]}}


async def test_a_pool_that_is_deleted_while_it_is_used(blind: World) -> None:
    pool = await make_pool(blind)
    cluster = await make_cluster(blind, **RELAYS)
    await blind.settle(pool, cluster)
    assert (await blind.condition(cluster, "Accepted"))[1] == "Accepted"
    engine = blind.of("calls-engine-0")
    assert [one["pod"] for one in engine.told or ()] == ["relays-relay-0"]
    engine.used = engine.calls = 2

    path = TURN_POOLS.path(blind.namespace, "relays")
    await blind.people.client.request("delete", path, serialize=False)
    mark = await blind.mark()
    await blind.settle(cluster, rounds=2)
    status, reason, message = await blind.condition(cluster, "Accepted")
    assert (status, reason) == ("False", "PoolMissing")
    assert f"{blind.namespace}/relays" in message
    assert (await blind.condition(cluster, "AddressKnown"))[1] == "NoRelays"
    assert engine.told == []
    assert engine.used == 2
    assert await blind.writes(mark, "pods") == []

    secret = SECRETS.path(blind.namespace, "relay-keys")
    await blind.people.client.request("delete", secret, serialize=False)
    other = await make_pool(blind, "others")
    await blind.change_resource(cluster, {"spec": {"turn": {"poolRefs": [{"name": "others"}]}}})
    await blind.settle(other, cluster)
    assert (await blind.condition(cluster, "Accepted"))[1] == "Accepted"
    assert [one["pod"] for one in engine.told or ()] == ["others-relay-0"]


async def test_a_node_that_is_lost_with_calls_on_it(blind: World) -> None:
    cluster = await make_cluster(blind, scaling=SCALING | {"minReplicas": 2})
    await blind.settle(cluster)
    lost = dict(blind.pods)
    for pod in lost.values():
        pod.used = pod.calls = 1
        await pod.stop()
    async with another_node(blind):
        mark = await blind.mark()
        await blind.settle(cluster, rounds=4)
        serving = [pod for uid, pod in blind.pods.items() if uid not in lost]
        assert len(serving) == 2, "others have taken their place"
        status, _, message = await blind.condition(cluster, "Draining")
        assert status == "True"
        assert "calls-engine-0" in message
        assert await deletions(blind, mark) == [], "nobody knows what is still on them"

        for pod in lost.values():  # as the garbage collector does with pods of no node
            path = PODS.path(blind.namespace, pod.name)
            at_once = {"gracePeriodSeconds": 0}
            await blind.people.client.request("delete", path, body=at_once, serialize=False)
        await blind.settle(cluster, rounds=2)
        assert (await blind.condition(cluster, "Ready"))[0] == "True"
        assert (await blind.condition(cluster, "Draining"))[0] == "False"


@asynccontextmanager
async def another_node(world: World) -> AsyncIterator[None]:
    """In place of the world's own, which is lost for as long."""
    lost, other = world.node, f"{world.node}-b"
    await world.people.client.request("delete", NODES.path("", lost), serialize=False)
    world.services.nodes.gone(lost)  # as the watch would tell
    await make_node(world, other)
    world.kubelet.node = other
    try:
        yield
    finally:
        world.kubelet.node = lost
        await world.people.client.request("delete", NODES.path("", other), serialize=False)
        await make_node(world, lost)


async def make_node(world: World, name: str) -> None:
    body = {"metadata": {"name": name}}
    await world.people.client.request("post", "/api/v1/nodes", body=body, serialize=False)


async def deletions(world: World, since: int) -> list[str]:
    """Names of the pods that the operator has deleted."""
    return [event.name for event in await world.writes(since, "pods") if event.verb == "delete"]


async def test_admission_that_is_denied_is_said_in_its_words(blind: World) -> None:
    level = "pod-security.kubernetes.io/enforce"
    await label_namespace(blind, {level: "restricted"})
    pool = await make_pool(blind)  # needs a port of the node
    await blind.settle(pool, rounds=2)
    status, reason, message = await blind.condition(pool, "Progressing")
    assert (status, reason) == ("False", "ApplyFailed")
    assert "Pod relays-relay-0" in message
    assert "violates PodSecurity" in message
    assert "hostPort" in message
    assert blind.pods == {}

    await label_namespace(blind, {level: "privileged"})
    await blind.settle(pool)
    assert (await blind.condition(pool, "Ready"))[0] == "True"
    assert (await blind.condition(pool, "Progressing"))[1] == "UpToDate"


async def label_namespace(world: World, labels: dict[str, str]) -> None:
    await world.people.client.request(
        "patch",
        f"/api/v1/namespaces/{world.namespace}",
        body={"metadata": {"labels": labels}},
        content_type="application/merge-patch+json",
        serialize=False,
    )


async def test_an_image_that_does_not_start_and_one_that_does(blind: World) -> None:
    blind.kubelet.bad_images = frozenset({"example.org/image:bad"})
    cluster = await make_cluster(blind, image="example.org/image:bad")
    await blind.settle(cluster, rounds=2)
    assert (await blind.condition(cluster, "Ready"))[0] == "False"
    status, reason, message = await blind.condition(cluster, "Progressing")
    assert (status, reason) == ("False", "PodsFailing")
    assert "calls-engine-0: ImagePullBackOff: cannot pull example.org/image:bad" in message

    await blind.change_resource(cluster, {"spec": {"image": "example.org/image:good"}})
    await blind.settle(cluster)
    assert (await blind.condition(cluster, "Ready"))[0] == "True"
    assert len(blind.pods) == 1


async def test_an_engine_that_ends_for_a_wrong_database(blind: World) -> None:
    """It says why on its way out, and Kubernetes' words for what it does are passed on."""
    cluster = await make_cluster(blind, database="postgresql://nobody@nowhere.invalid/calls")
    await blind.round(cluster)
    (pod,) = await blind.list_pods()
    await blind.change(PODS, pod["metadata"]["name"], {"status": crashing()}, "status")
    await blind.round(cluster)
    status, reason, message = await blind.condition(cluster, "Progressing")
    assert (status, reason) == ("False", "PodsFailing")
    assert "calls-engine-0: CrashLoopBackOff: back-off 5m0s restarting failed container" in message
    assert (await blind.condition(cluster, "Ready"))[0] == "False"


def crashing() -> Body:
    ended = {"exitCode": 1, "reason": "Error"}
    waiting = {
        "reason": "CrashLoopBackOff",
        "message": "back-off 5m0s restarting failed container",
    }
    container = {
        "name": "engine",
        "image": "i",
        "imageID": "i",
        "ready": False,
        "restartCount": 6,
        "state": {"waiting": waiting},
        "lastState": {"terminated": ended},
    }
    return {"phase": "Running", "containerStatuses": [container]}

"""Engines on ports of the nodes: each has its own, and the address that clients are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callfleet_operator.gateway.resources import NODES, PODS
from callfleet_operator.reconcile.keys import Key, Kind
from tests.callfleet_operator.reconcile.specs import SCALING, cluster_spec, make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

EXTERNAL_ADDRESS = "callfleet.dev/external-address"


def exposure(first: int, last: int, kind: str = "HostPort", **address: str) -> dict[str, Any]:
    return {
        "type": kind,
        "hostPortRange": {"min": first, "max": last},
        "address": address or {"source": "NodeInternalIP"},
    }


async def another(here: World, name: str, **more: Any) -> Key:  # noqa: ANN401  # a spec
    return await here.make(Kind.CALL_CLUSTER, name, cluster_spec(**more))


async def ports(here: World) -> dict[str, int]:
    """By name of the pod the port that its annotation, its container and its node agree on."""
    found = {}
    for pod in await here.list_pods():
        annotated = int(pod["metadata"]["annotations"]["callfleet.dev/media-port"])
        [media] = [p for p in pod["spec"]["containers"][0]["ports"] if p["name"] == "media"]
        assert (media["containerPort"], media["hostPort"]) == (annotated, annotated)
        found[pod["metadata"]["name"]] = annotated
    return found


async def test_pods_of_all_clusters_have_ports_of_their_own(here: World) -> None:
    scaling = SCALING | {"minReplicas": 3}
    calls = await make_cluster(here, scaling=scaling, exposure=exposure(31000, 31009))
    other = await another(here, "other", scaling=scaling, exposure=exposure(31001, 31009))
    for _ in range(3):
        await asyncio.gather(here.round(calls), here.round(other))
        await here.kubelet.sync()
    given = await ports(here)
    assert len(given) == 6
    assert len(set(given.values())) == 6
    assert all(31000 <= port <= 31009 for port in given.values())
    await here.restart()
    await here.settle(calls, other)
    assert await ports(here) == given


async def test_the_successor_of_a_pod_has_its_port(here: World) -> None:
    calls = await make_cluster(here, exposure=exposure(31020, 31029))
    await here.settle(calls)
    given = await ports(here)
    [(name, uid)] = [(pod.name, pod.uid) for pod in here.pods.values()]
    await here.kubelet.end(name, uid)
    await here.settle(calls)
    assert await ports(here) == given
    assert uid not in here.pods


async def test_a_full_range_is_named(here: World) -> None:
    calls = await make_cluster(here, exposure=exposure(31040, 31044))
    await here.settle(calls)
    for name in ("b", "c", "d", "e"):
        await here.settle(await another(here, name, exposure=exposure(31040, 31044)))
    last = await another(here, "f", exposure=exposure(31040, 31044))
    await here.settle(last)
    status, reason, message = await here.condition(last, "Progressing")
    assert (status, reason) == ("False", "ApplyFailed")
    assert "hostPortRange 31040 to 31044 has no free port" in message


async def test_relays_admit_the_port_of_each_engine(here: World) -> None:
    pool = await make_pool(here)
    calls = await make_cluster(
        here, exposure=exposure(31060, 31069), turn={"poolRefs": [{"name": "relays"}]}
    )
    await here.settle(pool, calls)
    [engine] = [p for p in await here.list_pods() if p["metadata"]["name"] == "calls-engine-0"]
    address = engine["status"]["podIP"]
    assert here.of("relays-relay-0").told == [{"address": address, "port": 31060}]


async def test_a_pod_is_told_the_address_of_its_node_or_it_is_said_that_there_is_none(
    here: World,
) -> None:
    calls = await make_cluster(here, exposure=exposure(31080, 31089, source="Auto"))
    await here.settle(calls)
    status, reason, message = await here.condition(calls, "AddressKnown")
    assert (status, reason) == ("False", "AddressUnknown")
    assert f"calls-engine-0: node {here.node} has no ExternalIP" in message

    note = {"metadata": {"annotations": {EXTERNAL_ADDRESS: "198.51.100.9"}}}
    await here.change(NODES, here.node, note)
    node = await here.people.get(NODES, "", here.node)
    assert node is not None
    assert here.services.nodes.saw(node)
    await here.round(calls)
    assert (await here.condition(calls, "AddressKnown"))[0] == "True"
    [pod] = await here.list_pods()
    told = pod["metadata"]["annotations"][EXTERNAL_ADDRESS]
    assert told == f"198.51.100.9 annotation {EXTERNAL_ADDRESS} of node {here.node}"
    mark = await here.mark()
    await here.settle(calls)
    assert [event.resource for event in await here.writes(mark, "pods")] == []


async def test_pods_on_the_nodes_network(here: World) -> None:
    calls = await make_cluster(here, exposure=exposure(31100, 31109, "HostNetwork"))
    await here.settle(calls)
    assert await ports(here) == {"calls-engine-0": 31100}
    [pod] = await here.list_pods()
    assert pod["spec"]["hostNetwork"] is True
    assert (await here.condition(calls, "AddressKnown"))[0] == "True"
    assert (await here.condition(calls, "Accepted"))[1] == "Accepted"


async def test_pods_that_no_stun_server_tells_their_address(here: World) -> None:
    asking = exposure(31100, 31109, source="STUN", value="stun.example.org:3478")
    calls = await make_cluster(here, exposure=asking)
    await here.settle(calls)
    assert (await here.condition(calls, "AddressKnown"))[0] == "True"
    [pod] = await here.list_pods()
    environment = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    asked = environment["CALLFLEET_ENGINE_EXTERNAL_ADDRESS_FROM"]
    assert asked == "stun:stun.example.org:3478"

    here.of("calls-engine-0").address_problem = "stun:stun.example.org:3478: no answer"
    not_ready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    await here.change(PODS, "calls-engine-0", not_ready, part="status")
    await here.round(calls)
    status, reason, message = await here.condition(calls, "AddressKnown")
    assert (status, reason) == ("False", "AddressUnknown")
    assert "calls-engine-0: stun:stun.example.org:3478: no answer" in message

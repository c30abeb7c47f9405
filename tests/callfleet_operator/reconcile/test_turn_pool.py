"""Rounds of a TurnPool, and what it and CallClusters tell each other."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from callfleet_operator.gateway.resources import NODES, SECRETS, SERVICES, TURN_POOLS
from callfleet_operator.reconcile.keys import Kind
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool, pool_spec
from tests.callfleet_operator.reconcile.witness import (
    assert_no_call_was_cut,
    by_operator,
    pod_events,
)
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

RELAYS: dict[str, Any] = {"turn": {"poolRefs": [{"name": "relays"}]}}


async def test_from_nothing_to_a_relay_that_is_handed_out(here: World) -> None:
    pool = await make_pool(here)
    cluster = await make_cluster(here, **RELAYS)
    await here.settle(pool, cluster)
    status = await here.status(pool)
    assert status["endpoints"] == [
        {"pod": "relays-relay-0", "region": "", "urls": ["turn:192.0.2.7:3478?transport=udp"]}
    ]
    assert here.of("calls-engine-0").told == [
        {
            "pool": f"{here.namespace}/relays",
            "pod": "relays-relay-0",
            "region": "",
            "urls": ["turn:192.0.2.7:3478?transport=udp"],
            "near": False,
            "freeAllocations": 10,
        }
    ]
    engine = next(
        pod["status"]["podIP"]
        for pod in await here.list_pods()
        if pod["metadata"]["name"] == "calls-engine-0"
    )
    assert here.of("relays-relay-0").told == [{"address": engine, "port": 10000}]


async def test_at_rest_nothing_is_written(here: World) -> None:
    pool = await make_pool(here)
    cluster = await make_cluster(here, **RELAYS)
    await here.settle(pool, cluster)
    mark = await here.mark()
    for _ in range(2):
        await here.round(pool)
        await here.round(cluster)
    assert [(e.verb, e.resource, e.name) for e in await here.writes(mark)] == []


async def test_saturation_adds_relays_and_a_draining_one_is_not_handed_out(here: World) -> None:
    pool = await make_pool(here)
    cluster = await make_cluster(here, **RELAYS)
    await here.settle(pool, cluster)
    here.of("relays-relay-0").used = 10
    await here.scrape()
    await here.settle(pool, cluster, rounds=2)
    assert len((await here.status(pool))["endpoints"]) == 2
    # Ports of one node differ by the ordinal.
    urls = {one["urls"][0] for one in (await here.status(pool))["endpoints"]}
    assert urls == {"turn:192.0.2.7:3478?transport=udp", "turn:192.0.2.7:3479?transport=udp"}

    here.of("relays-relay-0").used = 1
    here.of("relays-relay-1").used = 1
    await here.scrape()
    await here.settle(pool, cluster, rounds=2)
    relays = [one for one in here.pods.values() if one.component == "relay"]
    (draining,) = [one for one in relays if one.admission == "draining"]
    handed_out = {one["pod"] for one in here.of("calls-engine-0").told or []}
    assert handed_out == {one.name for one in relays} - {draining.name}
    # It keeps its peers: its allocations go on.
    assert draining.told


async def test_relays_of_the_region_of_an_engine_are_near(here: World) -> None:
    label = {"metadata": {"labels": {"topology.kubernetes.io/region": "eu-central"}}}
    await here.change(NODES, here.node, label)
    near = await make_pool(here, region="eu-central")
    far = await here.make(Kind.TURN_POOL, "far", pool_spec(region="us-west"))
    cluster = await make_cluster(here, turn={"poolRefs": [{"name": "relays"}, {"name": "far"}]})
    await here.settle(near, far, cluster)
    told = here.of("calls-engine-0").told
    assert told is not None
    assert {(one["pod"], one["region"], one["near"]) for one in told} == {
        ("relays-relay-0", "eu-central", True),
        ("far-relay-0", "us-west", False),
    }
    assert (await here.status(near))["endpoints"][0]["region"] == "eu-central"


async def test_a_relay_behind_a_load_balancer_of_its_own(here: World) -> None:
    pool = await make_pool(here, exposure={"type": "LoadBalancer"})
    cluster = await make_cluster(here, **RELAYS)
    await here.settle(pool, cluster)
    relay = here.of("relays-relay-0")
    service = await here.people.get(SERVICES, here.namespace, "relays-relay-0")
    assert service is not None
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert service["spec"]["selector"]["callfleet.dev/ordinal"] == "0"
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Pod", relay.uid)
    status, reason, message = await here.condition(pool, "AddressKnown")
    assert (status, reason) == ("False", "AddressUnknown")
    assert "Service relays-relay-0 has no address from a load balancer yet" in message

    given = {"status": {"loadBalancer": {"ingress": [{"hostname": "a.lb.example.org"}]}}}
    await here.change(SERVICES, "relays-relay-0", given, part="status")
    await here.settle(pool, cluster)
    assert (await here.condition(pool, "AddressKnown"))[0] == "True"
    assert [one["urls"] for one in here.of("calls-engine-0").told or []] == [
        ["turn:a.lb.example.org:3478?transport=udp"]
    ]
    mark = await here.mark()
    await here.round(pool)
    assert [(e.verb, e.resource, e.name) for e in await here.writes(mark)] == []
    reads = [e for e in await here.requests(mark) if e.name == "relays-relay-0"]
    assert [(e.verb, e.resource) for e in reads] == [("get", "services")]


async def test_a_service_of_somebody_else_is_not_taken_for_a_load_balancer(here: World) -> None:
    await here.people.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "relays-relay-0", "namespace": here.namespace},
            "spec": {"ports": [{"port": 1}]},
        }
    )
    pool = await make_pool(here, exposure={"type": "LoadBalancer"})
    await here.settle(pool)
    status, reason, message = await here.condition(pool, "Ready")
    assert (status, reason) == ("False", "NameConflict")
    assert "Service relays-relay-0" in message


async def test_a_relay_as_a_stun_server_sees_it(here: World) -> None:
    exposure = {"address": {"source": "STUN", "value": "stun.example.org:3478"}}
    pool = await make_pool(here, exposure=exposure)
    await here.settle(pool)
    relay = here.of("relays-relay-0")
    (pod,) = await here.list_pods()
    assert {
        "name": "CALLFLEET_RELAY_PUBLIC_ADDRESS_FROM",
        "value": "stun:stun.example.org:3478",
    } in (pod["spec"]["containers"][0]["env"])
    relay.public = {"address": "", "problem": "no answer"}
    await here.settle(pool)
    status, _, message = await here.condition(pool, "AddressKnown")
    assert status == "False"
    assert "STUN server stun.example.org:3478: no answer" in message

    relay.public = {"address": "203.0.113.40", "problem": ""}
    await here.settle(pool)
    assert (await here.status(pool))["endpoints"][0]["urls"] == [
        "turn:203.0.113.40:3478?transport=udp"
    ]


async def test_the_operator_makes_master_secrets_once(here: World) -> None:
    pool = await here.make(Kind.TURN_POOL, "relays", pool_spec())
    await here.settle(pool, rounds=1)
    made = await here.people.get(SECRETS, here.namespace, "relays-relay-turn")
    assert made is not None
    assert len(base64.b64decode(made["data"]["secrets"]).splitlines()[0]) >= 32
    await here.restart()
    await here.round(pool)
    again = await here.people.get(SECRETS, here.namespace, "relays-relay-turn")
    assert again is not None
    assert again["data"] == made["data"]
    assert (await here.condition(pool, "CredentialsCurrent"))[0] == "True"


async def test_a_node_without_external_address(here: World) -> None:
    pool = await make_pool(here, exposure={"relaysPerNode": 4})
    await here.settle(pool)
    status, reason, message = await here.condition(pool, "AddressKnown")
    assert (status, reason) == ("False", "AddressUnknown")
    assert f"node {here.node} has no ExternalIP" in message
    assert "callfleet.dev/external-address" in message
    assert "endpoints" not in await here.status(pool)

    note = {"metadata": {"annotations": {"callfleet.dev/external-address": "198.51.100.9"}}}
    await here.change(NODES, here.node, note)
    node = await here.people.get(NODES, "", here.node)
    assert node is not None
    assert here.services.nodes.saw(node)
    await here.round(pool)
    assert (await here.condition(pool, "AddressKnown"))[0] == "True"
    (endpoint,) = (await here.status(pool))["endpoints"]
    assert endpoint["urls"] == ["turn:198.51.100.9:3478?transport=udp"]


async def test_malformed_master_secrets_take_nothing_away(here: World) -> None:
    pool = await make_pool(here)
    cluster = await make_cluster(here, **RELAYS)
    await here.settle(pool, cluster)
    entry = f"{here.namespace}.relays"
    keys = await here.people.get(SECRETS, here.namespace, "calls-engine-turn")
    assert keys is not None
    assert keys["data"][entry]

    spoilt = {"data": {"secrets": base64.b64encode(b"short").decode()}}
    await here.change(SECRETS, "relay-keys", spoilt)
    await here.round(pool)
    await here.round(cluster)
    status, reason, message = await here.condition(pool, "CredentialsCurrent")
    assert (status, reason) == ("False", "SecretMalformed")
    assert "line 1 of key `secrets` has 5 characters" in message
    _, reason, message = await here.condition(cluster, "Accepted")
    assert reason == "SecretMissing"
    assert f"TurnPool {here.namespace}/relays" in message
    after = await here.people.get(SECRETS, here.namespace, "calls-engine-turn")
    assert after is not None
    assert after["data"] == keys["data"]
    assert len(here.pods) == 2


async def test_users_refused_for_want_of_capacity_add_relays(here: World) -> None:
    pool = await make_pool(here)
    await here.settle(pool)
    labels = f'namespace="{here.namespace}",callfleet_pool="relays",pod="relays-relay-0"'
    counter = f"callfleet_relay_users_total{{{labels},result="
    here.later = timedelta(seconds=30)  # the window has begun with the relay

    async def users(served: int, capacity: int) -> None:
        here.extra = f'{counter}"served"}} {served}\n{counter}"capacity"}} {capacity}\n'
        await here.scrape()

    await users(0, 0)
    await users(20, 20)
    await here.round(pool)
    status = await here.status(pool)
    assert status["attempts"] >= 5
    assert status["failurePercent"] > 2
    await here.settle(pool, rounds=1)
    assert len(here.pods) >= 2


async def test_another_namespace_needs_the_pools_consent(here: World) -> None:
    await here.people.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{here.namespace}-media"}}
    )
    try:
        await here.people.create(
            {
                "apiVersion": "callfleet.dev/v1alpha1",
                "kind": "TurnPool",
                "metadata": {"name": "relays", "namespace": f"{here.namespace}-media"},
                "spec": pool_spec(),
            }
        )
        other = {"name": "relays", "namespace": f"{here.namespace}-media"}
        cluster = await make_cluster(here, turn={"poolRefs": [other]})
        await here.settle(cluster)
        status, reason, message = await here.condition(cluster, "Accepted")
        assert (status, reason) == ("False", "PoolNotAllowed")
        assert f"{here.namespace}-media/relays" in message
        assert "allowedNamespaces" in message
        keys = await here.people.get(SECRETS, here.namespace, "calls-engine-turn")
        assert keys is not None
        assert not keys.get("data")
    finally:
        await here.people.client.request(
            "delete", f"/api/v1/namespaces/{here.namespace}-media", serialize=False
        )


async def test_a_relay_that_is_gone_is_no_endpoint(here: World) -> None:
    pool = await make_pool(here)
    await here.settle(pool)
    await here.change(TURN_POOLS, "relays", {"spec": {"mode": "Paused"}})
    await here.people.client.request(
        "delete",
        f"/api/v1/namespaces/{here.namespace}/pods/relays-relay-0",
        body={"gracePeriodSeconds": 0},
        serialize=False,
    )
    await here.round(pool)
    await here.round(pool)
    assert "endpoints" not in await here.status(pool)
    mark = await here.mark()
    await here.restart()
    await here.round(pool)
    assert await here.writes(mark) == []


async def test_past_the_deadline_engines_have_their_clients_leave_a_relay(here: World) -> None:
    pool = await make_pool(here)
    cluster = await make_cluster(here, **RELAYS)
    await here.settle(pool, cluster)
    here.of("relays-relay-0").used = 10
    await here.scrape()
    await here.settle(pool, cluster, rounds=2)
    for one in here.pods.values():
        one.used = 1
    await here.scrape()
    await here.settle(pool, cluster, rounds=2)
    (draining,) = [one for one in here.pods.values() if one.admission == "draining"]
    engine = here.of("calls-engine-0")
    drain = {"deadlineSeconds": 60, "onDeadline": "Reconnect"}
    await here.change_resource(pool, {"spec": {"drain": drain}})
    await here.settle(pool, cluster, rounds=1)
    assert engine.left is None, "not before the deadline"
    assert (await here.condition(pool, "Accepted"))[1] == "Accepted"

    here.later = timedelta(seconds=90)
    mark = await here.mark()
    await here.settle(pool, cluster, rounds=1)
    assert engine.left == [{"pool": f"{here.namespace}/relays", "pod": draining.name}]
    _, reason, message = await here.condition(pool, "Draining")
    assert reason == "Reconnecting"
    assert f"clients are moved to other pods: {draining.name} since " in message
    assert "with 1 allocation." in message
    assert draining.uid in here.pods

    draining.used = 0
    await here.settle(pool, cluster, rounds=3)
    assert draining.uid in here.ended
    assert_no_call_was_cut(here, by_operator(await pod_events(here, mark)))
    engine.left = None
    await here.round(cluster)
    assert engine.left is None

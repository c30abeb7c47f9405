"""`callfleet plan` of a CallCluster on a real API server, and its prices in effect there."""

from __future__ import annotations

import pytest

from tests.callfleet_operator.cli.commands import data, refused, rule, said, user
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

POOLS = {"poolRefs": [{"name": "relays"}]}


async def test_capacity_limits_and_prices_come_from_the_objects(here: World) -> None:
    pool = await make_pool(here, cost={"podMonthly": "70"})
    key = await make_cluster(here, turn=POOLS, cost={"podMonthly": "140", "egressPerGB": "0.05"})
    await here.settle(pool, key)

    found = await data(here, "plan", "calls", "--concurrent=20", "--bitrate=audio")

    figures = found["figures"]
    # 10 a pod: 20 / (10 x 70 %) = 2.9, and two calls of four a pod: 5 calls need 9 places
    assert figures["engines"]["byTarget"]["value"] == 3
    assert figures["engines"]["callsPerPod"]["value"] == 2
    assert figures["engines"]["pods"]["value"] == 7
    # 10 allocations a relay: 40 / (10 x 70 %) = 5.7
    assert figures["relays"]["relays"]["pods"]["value"] == 6
    assert figures["cost"]["enginePods"]["value"] == "980.00"
    assert figures["cost"]["relayPods.relays"]["value"] == "420.00"
    assert figures["cost"]["total"]["value"] is not None
    assert any("maxReplicas is 3 and 7 are needed" in note for note in found["notes"])
    assert "CallCluster calls: " in await said(here, "plan", "cc/calls", "--users=20")

    accepted = await here.condition(key, "Accepted")
    assert accepted[:2] == ("True", "Accepted")
    assert (await here.condition(pool, "Accepted"))[1] == "Accepted"


async def test_what_is_not_there_is_said_with_a_remedy(here: World) -> None:
    assert "There is no CallCluster calls in namespace" in await refused(
        here, "plan", "calls", "--users=10"
    )
    await make_cluster(here, turn=POOLS)
    message = await refused(here, "plan", "calls", "--users=10")
    assert message == (
        f"CallCluster calls names TurnPool {here.namespace}/relays, which does not exist: create "
        "it, or remove it from turn.poolRefs."
    )
    message = await refused(here, "plan", "call", "--users=10")
    assert "there is callcluster/calls" in message


async def test_it_needs_to_read_both_kinds_and_no_more(here: World) -> None:
    await make_pool(here)
    await make_cluster(here, turn=POOLS)
    reader = await user(here, "planner", rule("callfleet.dev", "callclusters turnpools", "get"))
    assert "in calls at a time" in await said(
        here, "plan", "calls", "--users=10", kubeconfig=reader
    )
    half = await user(here, "half", rule("callfleet.dev", "callclusters", "get"))
    message = await refused(here, "plan", "calls", "--users=10", kubeconfig=half)
    assert message.startswith("You may not do that: ")
    assert "turnpools" in message

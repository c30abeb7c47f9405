"""Rollouts by operators that die, and by ones that see what was before."""

from __future__ import annotations

from itertools import cycle, islice

import pytest

from tests.callfleet_operator.reconcile.mishaps import Hindsight, kill_after
from tests.callfleet_operator.reconcile.rollouts import NEW, engines, relays
from tests.callfleet_operator.reconcile.witness import (
    assert_no_call_was_cut,
    assert_one_pod_an_ordinal,
    assert_sealed_for_good,
    by_operator,
    fewest_open,
    pod_events,
)
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]


@pytest.mark.parametrize("done", [True, False])
async def test_an_operator_that_dies_at_any_action_is_followed_by_one_that_goes_on(
    here: World, *, done: bool
) -> None:
    fleet = await engines(here, rollout={"maxSurge": 2})
    first, before = fleet.first, await here.list_pods()
    mark = await here.mark()
    await fleet.change(NEW)
    rounds = 0
    for actions in islice(cycle(range(7)), 80):
        died = await kill_after(here, actions, fleet.key, done=done)
        await here.kubelet.sync()
        await here.scrape()
        rounds += 1
        if not died and await fleet.is_rolled_out():
            break
    assert await fleet.is_rolled_out(), f"not after {rounds} rounds"
    assert not first & here.pods.keys()
    events = await pod_events(here, mark)
    assert fewest_open(events, before) == 2
    assert_no_call_was_cut(here, by_operator(events))
    assert_sealed_for_good(here, events)
    assert_one_pod_an_ordinal(events)


@pytest.mark.parametrize("age", [0, 1])
async def test_a_view_that_is_behind_at_any_step_harms_nothing(here: World, age: int) -> None:
    fleet, hindsight = await relays(here, rollout={"maxSurge": 2}), Hindsight(here)
    first, before = fleet.first, await here.list_pods()
    mark = await here.mark()
    await fleet.change(NEW)
    for _ in range(20):
        await hindsight.round(fleet.key)
        await hindsight.stale_round(fleet.key, age=age)
        await here.kubelet.sync()
        await here.scrape()
        await hindsight.stale_round(fleet.key, age=age)
        if await fleet.is_rolled_out():
            break
    assert await fleet.is_rolled_out()
    assert not first & here.pods.keys()
    events = await pod_events(here, mark)
    assert fewest_open(events, before) == 2
    assert_no_call_was_cut(here, by_operator(events))
    assert_sealed_for_good(here, events)
    assert_one_pod_an_ordinal(events)


async def test_a_view_from_before_a_drain_drains_no_other_pod(here: World) -> None:
    fleet, hindsight = await engines(here), Hindsight(here)
    before, mark = await here.list_pods(), await here.mark()
    await fleet.change(NEW)
    await here.round(fleet.key)
    await here.kubelet.sync()
    await here.scrape()
    await hindsight.round(fleet.key)  # drains one of the old pods
    (draining,) = [
        pod["metadata"]["name"]
        for pod in await here.list_pods()
        if pod["metadata"]["labels"]["callfleet.dev/admission"] == "Cordoned"
    ]
    here.of(draining).used = here.of(draining).calls = 9  # now it is the other that is missed least
    await here.scrape()
    await hindsight.stale_round(fleet.key)
    assert fewest_open(await pod_events(here, mark), before) == 2

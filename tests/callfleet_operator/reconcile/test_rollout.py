"""Rollouts of both kinds on a real API server; the audit log and the pods are the witnesses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from callfleet_operator.gateway.resources import CALL_CLUSTERS, REVISIONS
from callfleet_operator.reconcile.revisions import HISTORY
from tests.callfleet_operator.reconcile.rollouts import BACK, NEW, Fleet, engines, relays
from tests.callfleet_operator.reconcile.specs import SCALING
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

Make = Callable[[World], Awaitable[Fleet]]


@pytest.mark.parametrize("make", [engines, relays])
async def test_a_new_image_reaches_every_pod_and_none_is_missed(here: World, make: Make) -> None:
    fleet = await make(here)
    first, before = fleet.first, await here.list_pods()
    assert len(first) == 2
    fleet.used(1)
    await here.scrape()
    mark = await here.mark()
    await fleet.change(NEW)
    await fleet.settle(rounds=3)
    # One new pod has come, one old one drains with its people, and the other waits its turn.
    assert len(here.pods) == 3
    status, reason, message = await fleet.progressing()
    assert (status, reason) == ("True", "RollingOut")
    assert "1 of 2 open pods have revision" in message
    assert "1 of an earlier one drains with 1 " in message

    fleet.used(0)
    await here.scrape()
    await fleet.settle(rounds=10)
    assert await fleet.is_rolled_out()
    assert len(here.pods) == 2
    assert not first & here.pods.keys()

    events = await pod_events(here, mark)
    assert fewest_open(events, before) == 2
    assert_no_call_was_cut(here, by_operator(events))
    assert_sealed_for_good(here, events)
    assert_one_pod_an_ordinal(events)

    mark = await here.mark()
    await here.round(fleet.key)
    await here.restart()
    await here.round(fleet.key)
    assert [(e.verb, e.resource, e.name) for e in await here.writes(mark)] == []


async def test_a_new_default_image_is_rolled_out_too(here: World) -> None:
    fleet = await engines(here)
    first = fleet.first
    here.services.installation = replace(here.services.installation, engine_image="e.org/e:9")
    await fleet.settle(rounds=10)
    assert await fleet.is_rolled_out()
    assert not first & here.pods.keys()


async def test_a_new_operator_and_a_change_that_no_template_depends_on_move_nothing(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = await engines(here)
    monkeypatch.setattr(
        "callfleet_operator.reconcile.engine_objects.engine_template",
        lambda *_: {"metadata": {"labels": {}, "annotations": {}}, "spec": {"x": 1}},
    )
    before = (await here.status(fleet.key))["updateRevision"]
    await fleet.change({"spec": {"scaling": {"maxReplicas": 4}, "drain": {"deadlineSeconds": 60}}})
    mark = await here.mark()
    await fleet.settle(rounds=2)
    assert (await here.status(fleet.key))["updateRevision"] == before
    assert await here.writes(mark, "pods") == []


@pytest.mark.parametrize("make", [engines, relays])
async def test_set_back_half_way_the_pods_of_before_are_wanted_again(
    here: World, make: Make
) -> None:
    fleet = await make(here, rollout={"maxSurge": 2})  # type: ignore[call-arg] # fields of a spec
    first, before = fleet.first, await here.list_pods()
    revision = (await here.status(fleet.key))["updateRevision"]
    fleet.used(1)
    await here.scrape()
    mark = await here.mark()
    await fleet.change(NEW)
    await fleet.settle(rounds=3)
    assert [here.pods[uid].admission for uid in first] == ["draining"] * 2

    await fleet.change(BACK)
    await fleet.settle(rounds=2)
    assert [here.pods[uid].admission for uid in first] == ["open"] * 2
    for uid in first:
        told = [call for _, call, code in here.pods[uid].log if code == 200]
        assert "DELETE drain" in told
    fleet.used(0)
    await here.scrape()
    await fleet.settle(rounds=6)
    assert await fleet.is_rolled_out()
    assert (await here.status(fleet.key))["updateRevision"] == revision
    assert here.pods.keys() == first, "no pod was made anew"
    for pod in await here.list_pods():
        assert not [key for key in pod["metadata"]["annotations"] if "/drain" in key]

    events = await pod_events(here, mark)
    assert fewest_open(events, before) == 2
    assert_no_call_was_cut(here, by_operator(events))
    stored = await here.people.list_all(REVISIONS, here.namespace)
    assert sorted(one["revision"] for one in stored) == [2, 3], "found again by its content"


async def test_an_image_that_cannot_be_pulled_stops_it_in_kubernetes_words(here: World) -> None:
    fleet = await engines(here)
    first = fleet.first
    here.kubelet.bad_images = frozenset({"example.org/image:2"})
    await fleet.change(NEW)
    await fleet.settle(rounds=2)
    here.later = timedelta(minutes=5)
    await fleet.settle(rounds=3)
    status, reason, message = await fleet.progressing()
    assert (status, reason) == ("False", "ProgressDeadlineExceeded")
    assert "calls-engine-2: ImagePullBackOff: cannot pull example.org/image:2" in message
    assert "set it back" in message
    assert here.pods.keys() == first
    mark = await here.mark()
    await fleet.settle(rounds=2)
    assert await here.writes(mark) == [], "stopped, it rests"

    # The load goes on being followed, with what works.
    working = set(await fleet.revisions())
    fleet.used(10)
    await here.scrape()
    await fleet.settle(rounds=2)
    assert len(here.pods) == 3
    assert set(await fleet.revisions()) == working

    fleet.used(0)
    await fleet.change(BACK)
    await here.scrape()
    await fleet.settle(rounds=6)
    assert await fleet.is_rolled_out()
    assert first & here.pods.keys()
    assert_no_call_was_cut(here, by_operator(await pod_events(here, 0)))


ATTEMPTS = "callfleet_engine_ice_attempts_total"
FAILURES = "callfleet_engine_ice_failures_total"


async def test_calls_that_fail_more_on_new_pods_stop_it_until_enough_succeed(here: World) -> None:
    fleet = await engines(here)
    fleet.used(1)
    await here.scrape()
    await fleet.change(NEW)
    await fleet.settle(rounds=3)
    old = next(pod for pod in here.pods.values() if pod.admission == "open")
    new = here.of("calls-engine-2")
    assert new.uid != old.uid

    async def count(**failed: int) -> None:
        lines = []
        for pod in (old, new):
            labels = (
                f'namespace="{here.namespace}",pod="{pod.name}",pod_uid="{pod.uid}",'
                'callfleet_cluster="calls",path="relayed"'
            )
            attempts, failures = (200, 2) if pod is old else (failed["of"], failed["number"])
            lines.append(f"{ATTEMPTS}{{{labels}}} {attempts}\n")
            lines.append(f'{FAILURES}{{{labels},cause="timeout"}} {failures}\n')
        here.extra = "".join(lines)
        await here.scrape()

    await count(of=40, number=40)
    await here.round(fleet.key)
    assert (await fleet.progressing())[1] == "RollingOut", "too few attempts say nothing"
    await count(of=100, number=60)
    await here.round(fleet.key)
    status, reason, message = await fleet.progressing()
    assert (status, reason) == ("False", "NewRevisionFailsMore")
    assert "60 of 100 (60 %) connections" in message
    assert "2 of 200 (1 %)" in message

    here.extra = ""
    await here.scrape()
    await here.restart()
    fleet.used(0)
    await here.scrape()
    await fleet.settle(rounds=4)
    assert (await fleet.progressing())[1] == "NewRevisionFailsMore", "unknown is not health"
    assert old.uid in here.pods

    await count(of=1000, number=61)
    await fleet.settle(rounds=8)
    assert await fleet.is_rolled_out()


async def test_on_delete_leaves_pods_until_somebody_deletes_them(here: World) -> None:
    fleet = await engines(here, rollout={"strategy": "OnDelete"})
    first = fleet.first
    await fleet.change(NEW)
    await fleet.settle(rounds=3)
    assert here.pods.keys() == first
    assert (await fleet.progressing())[1] == "OutdatedPodsKept"
    cordon = {"metadata": {"labels": {"callfleet.dev/admission": "Cordoned"}}}
    await here.change_pod("calls-engine-1", cordon)
    await fleet.settle(rounds=4)
    assert len(set(await fleet.revisions())) == 2
    assert len(here.pods) == 2


async def test_paused_it_stands_still_and_goes_on_later(here: World) -> None:
    fleet = await engines(here)
    fleet.used(1)
    await here.scrape()
    await fleet.change(NEW)
    await fleet.settle(rounds=3)
    await fleet.change({"spec": {"mode": "Paused"}})
    fleet.used(0)
    await here.scrape()
    mark = await here.mark()
    await fleet.settle(rounds=3)
    assert await here.writes(mark, "pods", "controllerrevisions") == []
    assert (await fleet.progressing())[1] == "RolloutHeld"
    await fleet.change({"spec": {"mode": "Active"}})
    await fleet.settle(rounds=8)
    assert await fleet.is_rolled_out()


async def test_a_single_pod_with_sqlite_is_drained_sealed_and_then_replaced(here: World) -> None:
    one = SCALING | {"minReplicas": 1, "maxReplicas": 1, "maxTotalReplicas": 1}
    fleet = await engines(here, scaling=one, store={"type": "SQLite"})
    first = fleet.first
    fleet.used(1)
    await here.scrape()
    mark = await here.mark()
    await fleet.change(NEW)
    await fleet.settle(rounds=3)
    assert here.pods.keys() == first, "its people go on talking"
    assert here.of("calls-engine-0").admission == "draining"
    fleet.used(0)
    await fleet.settle(rounds=5)
    assert await fleet.is_rolled_out()
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-0"]
    assert_no_call_was_cut(here, by_operator(await pod_events(here, mark)))


async def test_old_revisions_are_pruned_and_those_of_pods_never(here: World) -> None:
    fleet = await engines(here)
    (in_use,) = set(await fleet.revisions())
    await fleet.change({"spec": {"mode": "DryRun"}})  # no pod moves
    for number in range(HISTORY + 4):
        await here.change(CALL_CLUSTERS, "calls", {"spec": {"image": f"example.org/i:{number}"}})
        await here.round(fleet.key)
    await here.round(fleet.key)
    stored = await here.people.list_all(REVISIONS, here.namespace)
    hashes = {body["metadata"]["name"].rpartition("-")[2] for body in stored}
    assert in_use in hashes
    assert (await here.status(fleet.key))["updateRevision"] in hashes
    assert len(stored) == HISTORY + 2
    numbers = sorted(body["revision"] for body in stored)
    assert numbers == [1, *range(numbers[-1] - HISTORY, numbers[-1] + 1)], "the newest ones"

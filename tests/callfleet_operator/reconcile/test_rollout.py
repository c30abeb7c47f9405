"""Rollouts of both kinds on a real API server; the audit log and the pods are the witnesses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle, islice
from typing import Any

import pytest

from callfleet_operator.gateway.resources import CALL_CLUSTERS, REVISIONS
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.revisions import HISTORY
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster, make_pool
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

TWO = SCALING | {"minReplicas": 2, "maxReplicas": 3, "maxTotalReplicas": 5}
NEW = {"spec": {"image": "example.org/image:2"}}
BACK: dict[str, Any] = {"spec": {"image": None}}


@dataclass(frozen=True)
class Fleet:
    """One of the two kinds with two pods that serve."""

    here: World
    key: Key
    pods: tuple[str, ...]
    """Names."""

    @property
    def first(self) -> set[str]:
        """Uids of the pods of these names."""
        return {self.here.of(name).uid for name in self.pods}

    async def settle(self, rounds: int = 4) -> None:
        await self.here.settle(self.key, rounds=rounds)

    async def change(self, patch: dict[str, Any]) -> None:
        await self.here.change_resource(self.key, patch)

    async def progressing(self) -> tuple[str, str, str]:
        return await self.here.condition(self.key, "Progressing")

    async def revisions(self) -> list[str]:
        """Of the pods that are there."""
        pods = await self.here.list_pods()
        return [pod["metadata"]["labels"]["callfleet.dev/revision"] for pod in pods]

    async def is_rolled_out(self) -> bool:
        status = await self.here.status(self.key)
        return (
            status["currentRevision"] == status["updateRevision"]
            and set(await self.revisions()) == {status["updateRevision"]}
            and (await self.progressing())[1] == "UpToDate"
        )

    def used(self, number: int) -> None:
        """Participants or allocations on every pod."""
        for pod in self.here.pods.values():
            pod.used = number
            pod.calls = number if pod.component == "engine" else 0


Make = Callable[[World], Awaitable[Fleet]]


async def engines(here: World, **spec: Any) -> Fleet:  # noqa: ANN401  # fields of a spec
    key = await make_cluster(here, **{"scaling": TWO, **spec})
    return await _settled(here, key, "calls-engine")


async def relays(here: World, **spec: Any) -> Fleet:  # noqa: ANN401  # fields of a spec
    key = await make_pool(here, **{"scaling": TWO | {"minAttempts": 5}, **spec})
    return await _settled(here, key, "relays-relay")


async def _settled(here: World, key: Key, prefix: str) -> Fleet:
    await here.settle(key, rounds=2)
    names = tuple(sorted(pod.name for pod in here.pods.values()))
    assert names == tuple(f"{prefix}-{ordinal}" for ordinal in range(len(names)))
    return Fleet(here, key, names)


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
        "callfleet_operator.reconcile.call_cluster.engine_template",
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
    here.bad_images = frozenset({"example.org/image:2"})
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
        died = await here.kill_after(actions, fleet.key, done=done)
        await here.kubelet()
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
    fleet = await relays(here, rollout={"maxSurge": 2})
    first, before = fleet.first, await here.list_pods()
    mark = await here.mark()
    await fleet.change(NEW)
    for _ in range(20):
        await here.recorded_round(fleet.key)
        await here.stale_round(fleet.key, age=age)
        await here.kubelet()
        await here.scrape()
        await here.stale_round(fleet.key, age=age)
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
    fleet = await engines(here)
    before, mark = await here.list_pods(), await here.mark()
    await fleet.change(NEW)
    await here.round(fleet.key)
    await here.kubelet()
    await here.scrape()
    await here.recorded_round(fleet.key)  # drains one of the old pods
    (draining,) = [
        pod["metadata"]["name"]
        for pod in await here.list_pods()
        if pod["metadata"]["labels"]["callfleet.dev/admission"] == "Cordoned"
    ]
    here.of(draining).used = here.of(draining).calls = 9  # now it is the other that is missed least
    await here.scrape()
    await here.stale_round(fleet.key)
    assert fewest_open(await pod_events(here, mark), before) == 2

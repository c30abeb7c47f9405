"""Drains taken back, drains that take too long, and nodes that are emptied."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kubernetes.aio.client import ApiException

from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import BUDGETS, NODES, PODS
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.gateway.pod_server import PodServer
from tests.callfleet_operator.reconcile.mishaps import kill_after
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster, make_pool
from tests.callfleet_operator.reconcile.witness import (
    assert_no_call_was_cut,
    assert_sealed_for_good,
    by_operator,
    fewest_open,
    pod_events,
)
from tests.callfleet_operator.reconcile.world import World
from tests.waiting import until

pytestmark = [pytest.mark.api, pytest.mark.peer]

ADMISSION = "callfleet.dev/admission"


async def two_then_one(here: World) -> tuple[Key, PodServer, PodServer]:
    """A cluster with an open pod and one that drains with a person on it."""
    key = await make_cluster(here)
    await here.settle(key, rounds=2)
    await load(here, key, 10)
    assert len(here.pods) == 2
    await load(here, key, 1)
    (draining,) = [pod for pod in here.pods.values() if pod.admission == "draining"]
    (open_,) = [pod for pod in here.pods.values() if pod.admission == "open"]
    return key, open_, draining


async def load(here: World, key: Key, participants: int, rounds: int = 3) -> None:
    """So many on each pod."""
    for pod in here.pods.values():
        pod.used = pod.calls = participants
    await here.scrape()
    await here.settle(key, rounds=rounds)


async def labels(here: World, name: str) -> dict[str, str]:
    body = await here.people.get(PODS, here.namespace, name)
    assert body is not None
    found: dict[str, str] = body["metadata"]["labels"]
    return found


async def test_when_people_come_back_the_draining_pod_is_reopened(here: World) -> None:
    key, open_, draining = await two_then_one(here)
    mark = await here.mark()
    open_.used = open_.calls = 10
    await here.scrape()
    await here.round(key)
    assert draining.admission == "open"
    assert (await labels(here, draining.name))[ADMISSION] == "Open"
    writes = await here.writes(mark, "pods")
    assert [(event.verb, event.name) for event in writes] == [("patch", draining.name)]
    # The pod is told before its label says so.
    told = next(at for at, call, code in draining.log if (call, code) == ("DELETE drain", 200))
    assert told.isoformat() < writes[0].received.replace("Z", "+00:00")
    assert len(here.pods) == 2


async def test_one_that_has_sealed_itself_is_not(here: World) -> None:
    """The operator has died between the seal and its label."""
    key, open_, draining = await two_then_one(here)
    draining.used = draining.calls = 0
    assert await kill_after(here, 1, key, done=True)
    assert draining.admission == "sealed"
    assert (await labels(here, draining.name))[ADMISSION] == "Cordoned"
    open_.used = open_.calls = 10
    await here.scrape()
    await here.settle(key, rounds=3)
    assert draining.uid in here.ended
    assert len(here.pods) >= 2
    assert_sealed_for_good(here, await pod_events(here, 0))
    assert_no_call_was_cut(here, by_operator(await pod_events(here, 0)))


async def test_one_that_cannot_be_reopened_is_not_waited_for(here: World) -> None:
    key, open_, draining = await two_then_one(here)
    draining.terminating = True
    open_.used = open_.calls = 10
    await here.scrape()
    await here.settle(key, rounds=2)
    assert draining.admission == "draining"
    assert len([pod for pod in here.pods.values() if pod.admission == "open"]) == 2


async def test_a_drain_of_another_id_is_taken_over(here: World) -> None:
    key, open_, draining = await two_then_one(here)
    draining.drain_id = "somebody else's"
    open_.used = open_.calls = 10
    await here.scrape()
    await here.round(key)
    assert draining.admission == "open"


async def test_what_a_person_drains_stays_so_and_what_a_person_opens_is_told(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key, rounds=2)
    pod = here.of("calls-engine-0")
    pod.used = pod.calls = 3
    await here.change_pod(pod.name, {"metadata": {"labels": {ADMISSION: "Cordoned"}}})
    await here.scrape()
    await here.settle(key, rounds=3)
    assert pod.admission == "draining"
    body = await here.people.get(PODS, here.namespace, pod.name)
    assert body is not None
    assert body["metadata"]["annotations"]["callfleet.dev/drain-reason"] == ""
    assert len(here.pods) == 2, "a pod takes its place"

    await here.change_pod(pod.name, {"metadata": {"labels": {ADMISSION: "Open"}}})
    await here.round(key)
    assert pod.admission == "open"
    body = await here.people.get(PODS, here.namespace, pod.name)
    assert body is not None
    assert not [name for name in body["metadata"]["annotations"] if "/drain" in name]


async def test_a_drain_beyond_its_deadline_is_named_and_waited_for(here: World) -> None:
    key, _, draining = await two_then_one(here)
    assert (await here.condition(key, "Draining"))[1] == "PodsDraining"
    await here.change_resource(key, {"spec": {"drain": {"deadlineSeconds": 60}}})
    here.later = timedelta(seconds=90)
    await here.round(key)
    status, reason, message = await here.condition(key, "Draining")
    assert (status, reason) == ("True", "DeadlineExceeded")
    assert f"{draining.name} since " in message
    assert "with 1 participant in 1 call" in message
    assert draining.uid in here.pods
    mark = await here.mark()
    await here.round(key)
    assert await here.writes(mark) == []


class TestReconnect:
    """Overdue pods are told to move their calls."""

    async def overdue(self, here: World) -> tuple[Key, PodServer, PodServer]:
        key, open_, draining = await two_then_one(here)
        drain = {"deadlineSeconds": 60, "onDeadline": "Reconnect"}
        await here.change_resource(key, {"spec": {"drain": drain}})
        await here.round(key)
        assert self.asked(draining) == [], "not before the deadline"
        assert (await here.condition(key, "Accepted"))[1] == "Accepted"
        here.later = timedelta(seconds=90)
        return key, open_, draining

    def asked(self, pod: PodServer) -> list[int]:
        return [code for _, call, code in pod.log if call == "POST reconnect"]

    async def test_until_it_is_empty_then_it_is_sealed_and_deleted(self, here: World) -> None:
        key, open_, draining = await self.overdue(here)
        mark = await here.mark()
        await here.settle(key, rounds=1)
        assert self.asked(draining) == [200, 200]
        status, reason, message = await here.condition(key, "Draining")
        assert (status, reason) == ("True", "Reconnecting")
        assert f"calls are moved to other pods: {draining.name}" in message
        assert draining.uid in here.pods

        open_.used += draining.used
        open_.calls += draining.calls
        draining.used = draining.calls = 0
        await here.settle(key, rounds=3)
        assert draining.uid in here.ended
        assert self.asked(draining) == [200, 200], "who is empty is not asked"
        assert self.asked(open_) == []
        assert (await here.condition(key, "Draining"))[1] == "NoPodsDraining"
        events = await pod_events(here, mark)
        assert_no_call_was_cut(here, by_operator(events))
        assert_sealed_for_good(here, events)

    async def test_no_write_while_calls_move(self, here: World) -> None:
        key, _, draining = await self.overdue(here)
        await here.round(key)
        mark = await here.mark()
        await here.round(key)
        assert self.asked(draining) == [200, 200]
        assert await here.writes(mark) == []

    async def test_another_operator_goes_on(self, here: World) -> None:
        key, open_, draining = await self.overdue(here)
        drain_id = draining.drain_id
        for actions in range(3):
            await kill_after(here, actions, key, done=True)
        await here.restart()
        await here.round(key)
        assert draining.drain_id == drain_id, "the same drain, so nobody is sent elsewhere twice"
        assert set(self.asked(draining)) == {200}
        open_.used += draining.used
        draining.used = draining.calls = 0
        await here.settle(key, rounds=3)
        assert draining.uid in here.ended
        assert_no_call_was_cut(here, by_operator(await pod_events(here, 0)))

    async def test_calls_that_have_nowhere_to_go_stay(self, here: World) -> None:
        key, _, draining = await self.overdue(here)
        draining.hindered = "no_room"
        await here.settle(key, rounds=1)
        status, reason, message = await here.condition(key, "Draining")
        assert (status, reason) == ("True", "DeadlineExceeded")
        assert "which cannot be moved: refused: no_room" in message
        assert draining.uid in here.pods
        draining.hindered = ""
        await here.round(key)
        assert (await here.condition(key, "Draining"))[1] == "Reconnecting"


async def test_with_wait_nobody_is_told_to_move(here: World) -> None:
    key, _, draining = await two_then_one(here)
    await here.change_resource(key, {"spec": {"drain": {"deadlineSeconds": 0}}})
    here.later = timedelta(days=1)
    await here.settle(key, rounds=1)
    assert "POST reconnect" not in {call for _, call, _ in draining.log}
    assert (await here.condition(key, "Draining"))[1] == "DeadlineExceeded"


class TestNode:
    """`kubectl drain` is a cordon and one eviction after another until they pass."""

    async def cordon(self, here: World) -> None:
        """The node of all pods so far takes no more; new ones find another."""
        old = here.node
        await here.change(NODES, old, {"spec": {"unschedulable": True}})
        body = await here.people.get(NODES, "", old)
        assert body is not None
        here.services.nodes.saw(body)  # as the watch would tell
        here.kubelet.node = f"{old}-b"
        await here.people.client.request(
            "post", "/api/v1/nodes", body={"metadata": {"name": here.node}}, serialize=False
        )

    async def uncordon(self, here: World) -> None:
        """The second node is not the world's own to take away."""
        await here.people.client.request("delete", f"/api/v1/nodes/{here.node}", serialize=False)
        here.kubelet.node = here.node.removesuffix("-b")

    async def evict(self, here: World, name: str) -> bool:
        """Whether the eviction API lets the pod go."""
        body: Body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": here.namespace},
        }
        path = PODS.path(here.namespace, name, "eviction")
        try:
            await here.people.client.request("post", path, body=body, serialize=False)
        except ApiException as refusal:
            if refusal.status != 429:
                raise
            return False
        return True

    async def budget(self, here: World, name: str) -> None:
        """The disruption controller has seen the budget."""

        async def seen() -> bool:
            live = await here.people.get(BUDGETS, here.namespace, name)
            return bool(live and live.get("status", {}).get("observedGeneration"))

        await until(seen)

    @pytest.mark.parametrize("kind", ["engine", "relay"])
    async def test_is_emptied_and_only_sealed_pods_are_evicted(
        self, here: World, kind: str
    ) -> None:
        scaling = SCALING | {"minReplicas": 2}
        make = make_cluster if kind == "engine" else make_pool
        key = await make(here, scaling=scaling)
        await here.settle(key, rounds=2)
        first = dict(here.pods)
        assert len(first) == 2
        for pod in first.values():
            pod.used = 1
            pod.calls = 1 if kind == "engine" else 0
        await here.scrape()
        await self.budget(here, f"{key.name}-{kind}")
        before, mark = await here.list_pods(), await here.mark()
        await self.cordon(here)
        try:
            await here.settle(key, rounds=4)
            assert len(here.pods) == 4, "others have taken their place"
            assert {pod.admission for pod in first.values()} == {"draining"}
            for pod in first.values():
                assert not await self.evict(here, pod.name), "it has people on it"
                pod.used = pod.calls = 0
            await here.round(key)
            assert {pod.admission for pod in first.values()} == {"sealed"}
            for pod in first.values():
                assert await self.evict(here, pod.name), "nobody is on it any more"
            await here.settle(key, rounds=3)
            assert not first.keys() & here.pods.keys()
            assert len(here.pods) == 2
            events = await pod_events(here, mark)
            assert fewest_open(events, before) == 2
            assert_no_call_was_cut(here, by_operator(events))
        finally:
            await self.uncordon(here)

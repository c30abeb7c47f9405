"""Rounds of a CallCluster on a real API server; the audit log is the witness."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from callfleet_operator.gateway.resources import CALL_CLUSTERS, PODS, REVISIONS
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.reconcile.mishaps import kill_after
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster
from tests.callfleet_operator.reconcile.witness import assert_no_call_was_cut
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]


async def grow(here: World, key: Key) -> None:
    """Three pods: the first one is full."""
    await here.settle(key)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.settle(key, rounds=2)
    here.of("calls-engine-1").used = here.of("calls-engine-1").calls = 10
    await here.settle(key, rounds=2)
    assert sorted(pod.name for pod in here.pods.values()) == [
        f"calls-engine-{ordinal}" for ordinal in range(3)
    ]


async def shrink(here: World, key: Key) -> None:
    """Everybody leaves."""
    for pod in here.pods.values():
        pod.used = pod.calls = 0
    await here.scrape()
    await here.settle(key, rounds=6)


async def test_from_nothing_to_one_pod_that_serves(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-0"]
    status, reason, _ = await here.condition(key, "Ready")
    assert (status, reason) == ("True", "MinimumReplicasAvailable")
    assert (await here.status(key))["replicas"]["open"] == 1


async def test_at_rest_nothing_is_written(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    mark = await here.mark()
    await here.round(key)
    await here.round(key)
    await here.restart()
    await here.round(key)
    assert [(e.verb, e.resource, e.name) for e in await here.writes(mark)] == []


async def test_out_with_the_load_and_in_again_without_cutting_a_call(here: World) -> None:
    key = await make_cluster(here)
    mark = await here.mark()
    await grow(here, key)
    await shrink(here, key)
    assert len(here.pods) == 1
    writes = await here.writes(mark, "pods")
    assert_no_call_was_cut(here, writes)
    assert sum(event.verb == "delete" for event in writes) == 2

    for pod in here.ended.values():
        steps = [event for event in writes if event.uid == pod.uid and event.code < 400]
        assert [event.verb for event in steps] == ["create", "patch", "patch", "delete"]
        cordoned, sealed = (event.response["metadata"]["labels"] for event in steps[1:3])
        assert cordoned["callfleet.dev/admission"] == "Cordoned"
        assert "callfleet.dev/sealed" not in cordoned
        assert sealed["callfleet.dev/admission"] == "Sealed"
        assert sealed["callfleet.dev/sealed"] == "true"
        told = [(call, code) for _, call, code in pod.log if call.startswith("POST")]
        assert told[:2] == [("POST drain", 200), ("POST seal", 200)]
        first_drain = next(at for at, call, _ in pod.log if call == "POST drain")
        assert datetime.fromisoformat(steps[1].received) < first_drain


async def test_a_pod_with_calls_is_waited_for(here: World) -> None:
    key = await make_cluster(here)
    await grow(here, key)
    for pod in here.pods.values():
        pod.used = pod.calls = 1
    await here.scrape()
    await here.settle(key, rounds=4)
    assert len(here.pods) == 3
    assert (await here.condition(key, "Draining"))[1] == "PodsDraining"
    await shrink(here, key)
    assert len(here.pods) == 1


async def test_a_new_ordinal_is_the_lowest_that_is_free(here: World) -> None:
    key = await make_cluster(here)
    mark = await here.mark()
    await grow(here, key)
    await shrink(here, key)
    await grow(here, key)
    created = [event for event in await here.writes(mark, "pods") if event.verb == "create"]
    assert {event.name for event in created} == {f"calls-engine-{n}" for n in range(3)}


async def test_two_operators_at_once_make_one_pod_an_ordinal(here: World) -> None:
    key = await make_cluster(here)
    mark = await here.mark()
    await asyncio.gather(*(here.round(key) for _ in range(4)), return_exceptions=True)
    await here.settle(key)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-0"]
    created = [event for event in await here.writes(mark, "pods") if event.verb == "create"]
    assert [event.code for event in created].count(201) == 1


async def test_an_operator_that_dies_anywhere_is_followed_by_one_that_goes_on(
    here: World,
) -> None:
    key = await make_cluster(here)
    mark = await here.mark()
    actions = 0
    while await kill_after(here, actions, key):
        await here.kubelet.sync()
        actions += 1
    await grow(here, key)
    for pod in here.pods.values():
        pod.used = pod.calls = 0
    await here.scrape()
    for actions in (*range(8), *range(8)):
        await kill_after(here, actions, key)
        await here.kubelet.sync()
        await here.scrape()
    await here.settle(key)
    assert len(here.pods) == 1
    writes = await here.writes(mark, "pods")
    assert_no_call_was_cut(here, writes)
    assert (await here.condition(key, "Ready"))[0] == "True"


async def test_a_label_put_on_by_hand_deletes_nobody(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    pod = here.of("calls-engine-0")
    pod.used = pod.calls = 3
    sealed = {"callfleet.dev/admission": "Sealed", "callfleet.dev/sealed": "true"}
    await here.change(PODS, "calls-engine-0", {"metadata": {"labels": sealed}})
    mark = await here.mark()
    await here.settle(key, rounds=2)
    assert pod.uid in here.pods
    assert [e for e in await here.writes(mark, "pods") if e.verb == "delete"] == []
    _, reason, message = await here.condition(key, "Progressing")
    assert reason == "ApplyFailed"
    assert "labelled sealed by hand" in message


async def test_a_pod_cordoned_by_hand_is_drained(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    first = here.of("calls-engine-0").uid
    await here.change(
        PODS, "calls-engine-0", {"metadata": {"labels": {"callfleet.dev/admission": "Cordoned"}}}
    )
    mark = await here.mark()
    await here.settle(key, rounds=6)
    assert first not in here.pods
    assert_no_call_was_cut(here, await here.writes(mark, "pods"))
    assert len(here.pods) == 1


async def test_a_restarted_container_is_told_to_drain_again(here: World) -> None:
    key = await make_cluster(here)
    await grow(here, key)
    for pod in here.pods.values():
        pod.used = pod.calls = 1
    await here.scrape()
    await here.settle(key, rounds=2)
    draining = next(pod for pod in here.pods.values() if pod.admission == "draining")
    draining.admission, draining.drain_id = "open", None
    await here.round(key)
    assert draining.admission == "draining"


async def test_paused_nothing_is_touched(here: World) -> None:
    key = await make_cluster(here)
    await grow(here, key)
    await here.change(CALL_CLUSTERS, "calls", {"spec": {"mode": "Paused"}})
    for pod in here.pods.values():
        pod.used = pod.calls = 0
    await here.scrape()
    mark = await here.mark()
    await here.settle(key, rounds=2)
    resources = {event.resource for event in await here.writes(mark)}
    assert resources <= {"callclusters/status", "events"}
    assert len(here.pods) == 3


async def test_a_revision_that_holds_no_template_changes_no_pod(here: World) -> None:
    """One of somebody else, newer than ours: it is told of once, and ours is made the newest."""
    key = await make_cluster(here)
    await here.settle(key)
    (ours,) = await here.people.list_all(REVISIONS, here.namespace)
    metadata = {key: ours["metadata"][key] for key in ("labels", "annotations", "ownerReferences")}
    metadata |= {"name": "calls-engine-foreign", "namespace": here.namespace}
    foreign = {**ours, "metadata": metadata, "data": {"spec": {}}, "revision": 99}
    await here.people.create(foreign)
    here.services.memories.clear()
    pods = set(here.pods)
    await here.round(key)
    _, reason, message = await here.condition(key, "Progressing")
    assert reason == "ApplyFailed"
    assert "ControllerRevision calls-engine-foreign holds no pod template: delete it" in message
    await here.settle(key, rounds=2)
    found = await here.people.list_all(REVISIONS, here.namespace)
    numbers = {one["metadata"]["name"]: one["revision"] for one in found}
    assert numbers[ours["metadata"]["name"]] == 100
    assert set(here.pods) == pods
    assert (await here.condition(key, "Progressing"))[1] == "UpToDate"


async def test_a_new_operator_by_itself_changes_no_template(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    before = (await here.status(key))["updateRevision"]

    monkeypatch.setattr(
        "callfleet_operator.reconcile.engine_objects.engine_template",
        lambda *_: {"metadata": {"labels": {}, "annotations": {}}, "spec": {"x": 1}},
    )
    mark = await here.mark()
    await here.round(key)
    assert await here.writes(mark) == []
    assert (await here.status(key))["updateRevision"] == before


async def test_a_deleted_object_is_forgotten(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    assert key in here.services.memories
    await here.people.client.request(
        "delete", CALL_CLUSTERS.path(here.namespace, "calls"), serialize=False
    )
    await here.round(key)
    assert key not in here.services.memories


async def test_bounds_of_the_spec_hold(here: World) -> None:
    key = await make_cluster(here, scaling=SCALING | {"maxReplicas": 2, "maxTotalReplicas": 2})
    await here.settle(key)
    for _ in range(3):
        for pod in here.pods.values():
            pod.used = pod.calls = 10
        await here.scrape()
        await here.settle(key, rounds=1)
    assert len(here.pods) == 2
    assert (await here.condition(key, "ScalingLimited"))[1] == "TooManyReplicas"

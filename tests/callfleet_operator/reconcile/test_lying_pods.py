"""Admin ports that are silent or lie: nobody is deleted, and no number comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from aiohttp import web

from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.steps import Hands
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster
from tests.callfleet_operator.reconcile.world import World
from tests.cluster.audit import AuditEvent

pytestmark = pytest.mark.api

A_WHILE = timedelta(minutes=2)
"""New words and figures alone are written once a minute."""
Lie = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def page(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>It works!</html>")


async def yes(_request: web.Request) -> web.StreamResponse:
    """Something else that is content with everything."""
    return web.json_response({"status": "ok"})


async def internal_error(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"code": "internal", "message": "oops"}, status=500)


LIES: dict[str, Lie] = {"silent": silent, "page": page, "yes": yes, "error": internal_error}


def figures(**said: object) -> Callable[[str], Lie]:
    """A status in the right pod's name that makes no sense."""

    def of(uid: str) -> Lie:
        async def answer(_request: web.Request) -> web.StreamResponse:
            body = {"version": 1, "component": "engine", "podUid": uid, "stress": {"cpu": 0.1}}
            return web.json_response(body | {"participants": 1, "pendingJoins": 0} | said)

        return answer

    return of


NONSENSE = {
    "negative": figures(participants=-5),
    "text": figures(participants="many"),
    "absent": figures(participants=None),
    "no-stress": figures(stress={}),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_drain_waits_for_a_seal_that_is_one(blind: World, name: str) -> None:
    key = await two_pods(blind)
    leaving = blind.of("calls-engine-1")
    leaving.used = leaving.calls = 1
    leaving.lie = LIES[name]
    label = {"metadata": {"labels": {"callfleet.dev/admission": "Cordoned"}}}
    await blind.change_pod(leaving.name, label)
    mark = await blind.mark()
    await blind.settle(key, rounds=2)
    assert leaving.uid in blind.pods
    assert deleted(await blind.writes(mark, "pods")) == []
    pod = next(one for one in await blind.list_pods() if one["metadata"]["uid"] == leaving.uid)
    assert "callfleet.dev/sealed" not in pod["metadata"]["labels"]
    assert (await blind.condition(key, "Draining"))[0] == "True"

    leaving.lie = None
    leaving.used = leaving.calls = 0
    await blind.settle(key, rounds=3)
    assert blind.ended[leaving.uid].sealed_at() is not None


@pytest.mark.parametrize("name", ["silent", "page", "error"])
async def test_a_label_put_on_by_hand_deletes_nobody_who_is_silent(blind: World, name: str) -> None:
    key = await two_pods(blind)
    pod = blind.of("calls-engine-1")
    pod.used = pod.calls = 1
    pod.lie = LIES[name]
    labels = {"callfleet.dev/admission": "Sealed", "callfleet.dev/sealed": "true"}
    await blind.change_pod(pod.name, {"metadata": {"labels": labels}})
    mark = await blind.mark()
    await blind.settle(key, rounds=2)
    assert pod.uid in blind.pods
    assert deleted(await blind.writes(mark, "pods")) == []
    _, reason, message = await blind.condition(key, "Progressing")
    assert reason == "ApplyFailed"
    assert "labelled sealed by hand and not known to be" in message


async def test_one_that_is_sealed_and_silent_since_is_deleted(
    blind: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await two_pods(blind)
    leaving = blind.of("calls-engine-1")
    label = {"metadata": {"labels": {"callfleet.dev/admission": "Cordoned"}}}
    await blind.change_pod(leaving.name, label)

    async def kept(*_: object) -> None:
        """It is sealed in this test, and deleted later."""

    with monkeypatch.context() as patched:
        patched.setattr(Hands, "_delete", kept)
        while "callfleet.dev/sealed" not in (await labels_of(blind, leaving.uid)):
            await blind.round(key)
    leaving.lie = silent
    await blind.settle(key, rounds=2)
    assert blind.ended[leaving.uid].sealed_at() is not None


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_no_load(blind: World, name: str) -> None:
    """Prometheus is away, so the pods are asked: what cannot be is not known."""
    key = await two_pods(blind)
    for pod in blind.pods.values():
        pod.lie = NONSENSE[name](pod.uid)
    blind.later = A_WHILE
    mark = await blind.mark()
    await blind.settle(key, rounds=1)
    _, reason, message = await blind.condition(key, "ScalingActive")
    assert reason == "Holding"
    assert "2 of 2 pods do not answer (calls-engine-0, calls-engine-1)" in message
    status = await blind.status(key)
    assert status["replicas"]["desired"] == status["replicas"]["open"] == 2
    assert "participants" not in status
    assert "utilizationPercent" not in status
    assert await blind.writes(mark, "pods") == []


async def labels_of(world: World, uid: str) -> dict[str, str]:
    pods = await world.list_pods()
    found: dict[str, str] = next(
        one["metadata"]["labels"] for one in pods if one["metadata"]["uid"] == uid
    )
    return found


async def two_pods(world: World) -> Key:
    key = await make_cluster(world, scaling=SCALING | {"minReplicas": 2})
    await world.settle(key)
    assert len(world.pods) == 2
    return key


def deleted(events: list[AuditEvent]) -> list[str]:
    return [event.name for event in events if event.verb == "delete"]

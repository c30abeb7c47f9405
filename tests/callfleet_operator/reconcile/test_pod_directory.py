"""Pods as events and the operator's own writes tell them, in whatever order they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from callfleet_operator.gateway.kube import Kube
from callfleet_operator.reconcile.pod_directory import PodDirectory
from callfleet_operator.render.fleet import Component, Fleet

FLEET = Fleet(Component.ENGINE, "CallCluster", "calls", "prod", "owner", "example.org/engine:1")


class Nobody:
    """An API server that must not be asked."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


class Heard:
    def __init__(self) -> None:
        self.woken: list[str] = []
        nobody: Any = Nobody()
        kube: Kube = nobody
        self.directory = PodDirectory(kube, Component.ENGINE, self._wake)
        self.directory.current("", whether=True)

    def _wake(self, body: Mapping[str, Any]) -> None:
        self.woken.append(body["metadata"]["name"])

    async def versions(self, fleet: Fleet = FLEET) -> dict[str, str]:
        found = await self.directory.of(fleet)
        return {seen.pod.name: seen.pod.resource_version for seen in found}


@pytest.fixture
def heard() -> Heard:
    return Heard()


def pod(version: int, name: str = "calls-engine-0", uid: str = "u0", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    labels = {"app.kubernetes.io/component": "engine", "callfleet.dev/cluster": "calls"}
    metadata = {
        "name": name,
        "namespace": "prod",
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": labels,
        "ownerReferences": [{"controller": True, "uid": "owner"}],
    }
    return {"metadata": metadata | more, "spec": {}, "status": {}}


async def test_pods_of_a_fleet_only(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    heard.directory.saw(pod(6, "other-engine-0", "u1", labels={"callfleet.dev/cluster": "calls"}))
    heard.directory.saw(pod(7, "elsewhere-engine-0", "u2", namespace="test"))
    assert await heard.versions() == {"calls-engine-0": "5"}
    (seen,) = await heard.directory.of(FLEET)
    assert seen.owner == "owner"


async def test_an_event_that_is_late_changes_nothing_and_wakes_nobody(heard: Heard) -> None:
    heard.directory.note(pod(9))
    heard.directory.saw(pod(8))
    assert await heard.versions() == {"calls-engine-0": "9"}
    assert heard.woken == []
    heard.directory.saw(pod(10))
    assert await heard.versions() == {"calls-engine-0": "10"}
    assert heard.woken == ["calls-engine-0"]


async def test_the_first_lists_of_all_namespaces_are_waited_for() -> None:
    nobody: Any = Nobody()
    directory = PodDirectory(nobody, Component.ENGINE)
    waiting = asyncio.create_task(directory.until_current(("a", "b")))
    directory.current("a", whether=True)
    directory.current("c", whether=True)
    await asyncio.wait({waiting}, timeout=0)
    assert not waiting.done()
    directory.current("b", whether=True)
    await waiting


async def test_a_late_deletion_does_not_take_the_successor(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    heard.directory.note(pod(9, uid="u1"))
    heard.directory.gone(pod(8, uid="u0"))
    assert await heard.versions() == {"calls-engine-0": "9"}
    heard.directory.gone(pod(11, uid="u1"))
    assert await heard.versions() == {}


async def test_what_we_have_deleted_ends_at_once(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    heard.directory.note_deletion("prod", "calls-engine-0", "another")
    (seen,) = await heard.directory.of(FLEET)
    assert not seen.pod.terminating
    heard.directory.note_deletion("prod", "calls-engine-0", "u0")
    (seen,) = await heard.directory.of(FLEET)
    assert seen.pod.terminating
    heard.directory.saw(pod(5))  # what the watch had not told yet
    heard.directory.gone(pod(6))
    assert await heard.versions() == {}


async def test_an_answer_that_comes_after_its_pod_has_ended_brings_nothing_back(
    heard: Heard,
) -> None:
    heard.directory.saw(pod(5))
    heard.directory.gone(pod(9))
    heard.directory.note(pod(8))  # a write of ours that was made before the end
    assert await heard.versions() == {}
    heard.directory.note(pod(10, uid="u1"))
    assert await heard.versions() == {"calls-engine-0": "10"}


async def test_a_new_list_ends_what_was_missed(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    heard.directory.saw(pod(6, "calls-engine-1", "u1"))
    heard.directory.note(pod(30, "calls-engine-2", "u2"))  # made after the list was taken
    heard.directory.listed("", {"u1"}, "20")
    assert await heard.versions() == {"calls-engine-1": "6", "calls-engine-2": "30"}


async def test_a_list_of_one_namespace_says_nothing_of_another(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    heard.directory.listed("test", set(), "20")
    assert await heard.versions() == {"calls-engine-0": "5"}


async def test_a_pod_whose_label_is_changed_changes_its_fleet(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    labels = {"app.kubernetes.io/component": "engine", "callfleet.dev/cluster": "b"}
    heard.directory.saw(pod(6, labels=labels))
    assert await heard.versions() == {}
    other = Fleet(Component.ENGINE, "CallCluster", "b", "prod", "owner", "example.org/engine:1")
    assert await heard.versions(other) == {"calls-engine-0": "6"}


async def test_while_events_may_be_missing_the_api_server_is_asked(heard: Heard) -> None:
    heard.directory.saw(pod(5))
    heard.directory.current("", whether=False)
    with pytest.raises(AssertionError, match="list_all"):
        await heard.directory.of(FLEET)
    heard.directory.current("prod", whether=True)
    assert await heard.versions() == {"calls-engine-0": "5"}

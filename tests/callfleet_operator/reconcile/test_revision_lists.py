"""Which ControllerRevisions there are, asked for together and one by one, on a real API server."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.gate import always_open
from callfleet_operator.gateway.kube import Body, Kube, connect
from callfleet_operator.reconcile import revision_lists
from callfleet_operator.reconcile.revision_lists import RevisionLists
from callfleet_operator.render.fleet import Component, Fleet
from callfleet_operator.render.revision import controller_revision
from tests.cluster.api_server import ApiServer

pytestmark = pytest.mark.api


def revision(fleet: Fleet, number: int, owner: str = "") -> Body:
    """With an owner that is there, or it would be collected as garbage."""
    body = controller_revision(fleet, f"hash{number}", {"number": number}, number=number)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner or fleet.name}
    body["metadata"]["ownerReferences"] = [{**reference, "uid": fleet.uid, "controller": True}]
    return body


@dataclass
class Place:
    kube: Kube
    namespace: str
    asked: Counter[str]
    now: float = 0.0

    async def fleet(self, name: str) -> Fleet:
        metadata = {"name": name, "namespace": self.namespace}
        made = await self.kube.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        )
        uid = made["metadata"]["uid"]
        return Fleet(Component.ENGINE, "CallCluster", name, self.namespace, uid, "engine:1")

    async def store(self, name: str, *numbers: int) -> None:
        fleet = await self.fleet(name)
        for number in numbers:
            await self.kube.create(revision(fleet, number))

    async def numbers(self, lists: RevisionLists, name: str) -> list[int]:
        return [one.number for one in await lists.of(await self.fleet(name))]

    def lists(self) -> RevisionLists:
        return RevisionLists(self.kube, lambda: self.now)


@pytest.fixture
async def place(api_server: ApiServer, api_namespace: str) -> AsyncIterator[Place]:
    asked: Counter[str] = Counter()
    async with connect(
        answer_within=20,
        count=lambda verb, *_: asked.update([verb]),
        gate=always_open,
        in_cluster=False,
        kubeconfig=api_server.kubeconfig,
    ) as kube:
        yield Place(kube, api_namespace, asked)


async def test_fleets_of_a_namespace_share_one_list(place: Place) -> None:
    await place.store("a", 2, 1)
    await place.store("b", 3)
    lists = place.lists()
    assert await place.numbers(lists, "a") == [1, 2]
    assert await place.numbers(lists, "b") == [3]
    assert place.asked["list"] == 1


async def test_who_asks_again_gets_what_is_there_now(place: Place) -> None:
    await place.store("a", 1)
    lists = place.lists()
    assert await place.numbers(lists, "a") == [1]
    await place.store("a", 2)
    assert await place.numbers(lists, "a") == [1, 2]


async def test_who_comes_later_gets_what_is_there_now(place: Place) -> None:
    await place.store("a", 1)
    await place.store("b", 1)
    lists = place.lists()
    assert await place.numbers(lists, "a") == [1]
    await place.store("new", 7)
    assert await place.numbers(lists, "new") == [7]
    await place.store("b", 2)
    place.now = revision_lists.TOGETHER_WITHIN
    assert await place.numbers(lists, "b") == [1, 2]


async def test_those_of_another_owner_are_not_taken(place: Place) -> None:
    """Of a resource of the same name before, and of the other kind."""
    fleet, before = await place.fleet("a"), await place.fleet("before")
    await place.kube.create(revision(replace(before, name="a"), 1, owner="before"))
    await place.kube.create(revision(replace(fleet, component=Component.RELAY), 2))
    await place.kube.create(revision(fleet, 3))
    lists = place.lists()
    for _ in ("together", "alone"):
        assert await place.numbers(lists, "a") == [3]


async def test_one_that_holds_something_else_is_told_as_such(place: Place) -> None:
    fleet = await place.fleet("a")
    await place.kube.create({**revision(fleet, 1), "data": {"spec": {}}})
    (stored,) = await place.lists().of(fleet)
    assert stored.revision is None
    assert stored.hash == "hash1"


async def test_a_list_that_fails_leaves_each_to_ask_for_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callfleet_operator.gateway.kube.PAGE", 1)
    monkeypatch.setattr("callfleet_operator.gateway.kube.MAX_PAGES", 2)
    for name in "abc":
        await place.store(name, 1)
    lists = place.lists()
    with pytest.raises(KubeError, match="more than 2 objects match"):
        await place.numbers(lists, "a")
    assert await place.numbers(lists, "a") == [1]
    assert await place.numbers(lists, "b") == [1]

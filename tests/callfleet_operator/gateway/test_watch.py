"""Objects that are followed, on a real API server that fails now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from callfleet_operator.gateway.gate import always_open
from callfleet_operator.gateway.kube import Body, Kube, connect
from callfleet_operator.gateway.resources import CONFIG_MAPS
from callfleet_operator.gateway.watch import Followed, follow
from callfleet_operator.tasks import running
from tests.callfleet_operator.reconcile.faulty_api import (
    Answer,
    FaultyApi,
    cut,
    fall_silent,
    faulty_api,
    status,
    watch_error,
    watches,
)
from tests.cluster.api_server import ApiServer
from tests.waiting import until

pytestmark = pytest.mark.api

LABEL = "callfleet.dev/cluster"


@dataclass
class Seen:
    """A mirror that keeps the values of ConfigMaps by name."""

    values: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    is_current: bool = False
    lists: int = 0

    def saw(self, body: Body) -> None:
        name = body["metadata"]["name"]
        self.values[name] = body["data"]["value"]
        self.uids[name] = body["metadata"]["uid"]

    def gone(self, body: Body) -> None:
        self.values.pop(body["metadata"]["name"], None)

    def listed(self, namespace: str, uids: Collection[str], version: str) -> None:
        assert namespace
        assert int(version)
        self.lists += 1
        self.values = {name: one for name, one in self.values.items() if self.uids[name] in uids}

    def current(self, namespace: str, *, whether: bool) -> None:
        assert namespace
        self.is_current = whether


@dataclass
class Place:
    kube: Kube
    api: FaultyApi
    namespace: str
    asked: Counter[str]
    """By verb, watches apart."""

    async def put(self, name: str, value: str) -> None:
        metadata = {"name": name, "namespace": self.namespace, "labels": {LABEL: "calls"}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await self.kube.apply({**body, "data": {"value": value}})

    async def remove(self, name: str) -> None:
        live = await self.kube.get(CONFIG_MAPS, self.namespace, name)
        assert live is not None
        uid, version = live["metadata"]["uid"], live["metadata"]["resourceVersion"]
        await self.kube.delete(CONFIG_MAPS, self.namespace, name, uid, version)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[Seen]:
        seen = Seen()
        what = Followed(CONFIG_MAPS, self.namespace, LABEL)
        async with running(follow(self.kube, what, seen, asyncio.Lock())):
            yield seen


@pytest.fixture
async def place(api_server: ApiServer, api_namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    through = tmp_path / "kubeconfig"
    asked: Counter[str] = Counter()
    async with (
        faulty_api(api_server.kubeconfig, through) as api,
        connect(
            answer_within=20,
            count=lambda verb, *_: asked.update([verb]),
            gate=always_open,
            in_cluster=False,
            kubeconfig=through,
        ) as kube,
    ):
        yield Place(kube, api, api_namespace, asked)


def tells_all(request: web.Request) -> bool:
    """Whether a watch is to begin with what is there."""
    return "sendInitialEvents" in request.query


async def ended_at_once(request: web.Request) -> web.StreamResponse:
    """A watch whose time is over before it has told anything."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    return response


UNKNOWN = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
OLD_ETCD = "the required storage feature RequestWatchProgress is disabled"


@pytest.fixture(params=["streamed", "old", "old-etcd", "slow"])
def way(request: pytest.FixtureRequest, place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    """How an API server tells what is there: in the watch, not so, or not soon enough."""
    monkeypatch.setattr("callfleet_operator.gateway.kube.PAGE", 2)
    if request.param == "old":
        place.api.next(tells_all, status(422, "Invalid", UNKNOWN))
    elif request.param == "old-etcd":
        place.api.next(tells_all, status(500, "InternalError", OLD_ETCD))
    elif request.param == "slow":
        place.api.next(tells_all, ended_at_once)
    return str(request.param)


async def test_what_is_there_what_comes_changes_and_goes(place: Place, way: str) -> None:
    for number in range(5):
        await place.put(f"old-{number}", "1")
    async with place.followed() as seen:
        await until(lambda: seen.is_current)
        assert seen.values == {f"old-{number}": "1" for number in range(5)}
        await place.put("new", "1")
        await place.put("old-0", "2")
        await place.remove("old-1")
        await until(lambda: seen.values.get("old-0") == "2" and "old-1" not in seen.values)
        assert seen.values["new"] == "1"
        assert seen.lists == 1
    assert place.asked["list"] == (0 if way == "streamed" else 3)


async def test_one_list_after_the_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callfleet_operator.gateway.kube.PAGE", 1)
    place.api.next(tells_all, status(422, "Invalid", UNKNOWN), times=2)
    for number in range(5):
        await place.put(f"old-{number}", "1")
    order: list[str] = []

    @dataclass
    class Noted(Seen):
        who: str = ""

        def saw(self, body: Body) -> None:
            super().saw(body)
            order.append(self.who)

    mirrors = [Noted(who=who) for who in "ab"]
    what = Followed(CONFIG_MAPS, place.namespace, LABEL)
    listing = asyncio.Lock()
    async with (
        running(follow(place.kube, what, mirrors[0], listing)),
        running(follow(place.kube, what, mirrors[1], listing)),
    ):
        await until(lambda: all(one.is_current for one in mirrors))
    assert "".join(order) == "aaaaabbbbb"


@pytest.mark.parametrize(
    ("answer", "lists"),
    [
        (cut, 1),
        (status(500, "InternalError", "etcd is away"), 1),
        (status(429, "TooManyRequests", "wait", Retry_After="1"), 1),
        (watch_error(500, "InternalError"), 1),
        (watch_error(410, "Expired"), 2),
        (status(410, "Expired", "too old resource version"), 2),
    ],
    ids=["cut", "failed", "refused", "error", "gone", "gone-at-once"],
)
async def test_nothing_is_missed_by_a_watch_that_breaks(
    place: Place, answer: Answer, lists: int
) -> None:
    for name in ("changed", "removed"):
        await place.put(name, "1")
    async with place.followed() as seen:
        await until(lambda: seen.is_current)
        fault = place.api.next(watches("configmaps"), answer)
        place.api.cut_watches()
        await until(lambda: not seen.is_current)
        await place.put("changed", "2")
        await place.remove("removed")
        await until(lambda: fault.met == 1 and seen.is_current)
        await until(lambda: seen.values == {"changed": "2"})
        assert seen.lists == lists


async def test_one_that_has_hung_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callfleet_operator.gateway.watch.WATCH_SECONDS", 1)
    monkeypatch.setattr("callfleet_operator.gateway.watch.GRACE_SECONDS", 1)
    await place.put("changed", "1")
    async with place.followed() as seen:
        await until(lambda: seen.is_current)
        silent = place.api.next(watches("configmaps"), fall_silent)
        place.api.cut_watches()
        await until(lambda: silent.met == 1)
        await place.put("changed", "2")
        await until(lambda: seen.values == {"changed": "2"})
        assert seen.lists == 1


async def test_it_ends_when_it_is_told_to(place: Place) -> None:
    async with place.followed() as seen:
        await until(lambda: seen.is_current)
    assert not seen.is_current
    assert all(task is asyncio.current_task() or "follow" not in repr(task) for task in _tasks())


def _tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks()

"""Which CallClusters name which TurnPools, by events and by lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from callfleet_operator.gateway.errors import UnavailableError
from callfleet_operator.gateway.kube import Kube
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.pool_users import CompleteUsers, PoolUsers

A, B = Key(Kind.CALL_CLUSTER, "calls", "a"), Key(Kind.CALL_CLUSTER, "calls", "b")
NEAR, FAR = Key(Kind.TURN_POOL, "calls", "relays"), Key(Kind.TURN_POOL, "media", "relays")


def body(key: Key, *pools: Key) -> dict[str, Any]:
    references = [{"namespace": pool.namespace, "name": pool.name} for pool in pools]
    metadata = {"namespace": key.namespace, "name": key.name}
    return {"metadata": metadata, "spec": {"turn": {"poolRefs": references}}}


def test_who_names_whom() -> None:
    users = PoolUsers()
    users.saw(A, body(A, NEAR, FAR))
    users.saw(B, body(B, FAR))
    assert users.of(FAR) == {A, B}
    assert users.of(NEAR) == {A}
    assert users.pools_of(A) == {NEAR, FAR}
    users.saw(A, body(A, NEAR))
    assert users.of(FAR) == {B}
    users.gone(B)
    users.gone(B)
    assert users.of(FAR) == frozenset()
    assert users.pools_of(B) == frozenset()


def test_without_a_namespace_it_is_its_own() -> None:
    users = PoolUsers()
    users.saw(A, {**body(A), "spec": {"turn": {"poolRefs": [{"name": "relays"}]}}})
    assert users.of(NEAR) == {A}


@pytest.mark.parametrize("spec", [{}, {"turn": None}, {"turn": {"poolRefs": None}}])
def test_one_that_names_none(spec: dict[str, Any]) -> None:
    users = PoolUsers()
    users.saw(A, {**body(A), "spec": spec})
    assert users.pools_of(A) == frozenset()


@dataclass
class Lists:
    """Plays the API server's lists, and what happens between two pages."""

    pages_there: list[list[dict[str, Any]]]
    lists: int = 0
    now: float = 0.0
    between: Callable[[], None] = lambda: None
    fails: bool = False
    asked: list[str] = field(default_factory=list)

    async def pages(self, _resource: object, namespace: str) -> AsyncIterator[dict[str, Any]]:
        self.lists += 1
        self.asked.append(namespace)
        for items in self.pages_there:
            self.now += 1
            yield {"items": items}
            self.between()
        if self.fails:
            raise UnavailableError("list", 503, "away")

    def users(self, *namespaces: str) -> CompleteUsers:
        return CompleteUsers(cast("Kube", self), namespaces, lambda: self.now)


async def test_the_first_answer_knows_all_that_there_are() -> None:
    lists = Lists([[body(A, FAR)], [body(B, FAR)]])
    users = lists.users()
    assert await users.of(FAR) == {A, B}
    assert lists.asked == [""]


async def test_a_list_serves_for_a_hundred_times_as_long_as_it_took() -> None:
    lists = Lists([[body(A, FAR)], []])
    users = lists.users()
    await users.of(FAR)
    lists.now = 199
    await users.of(NEAR)
    assert lists.lists == 1
    lists.now = 200
    lists.pages_there = [[body(B, FAR)]]
    assert await users.of(FAR) == {B}
    assert lists.lists == 2


async def test_what_events_tell_meanwhile_is_newer() -> None:
    new = Key(Kind.CALL_CLUSTER, "calls", "new")
    lists = Lists([[body(A, NEAR)], [body(A, NEAR), body(B, NEAR)]])
    users = lists.users()
    for key in (A, B):
        users.known.saw(key, body(key, NEAR))

    def happens() -> None:
        users.known.saw(A, body(A, FAR))
        users.known.gone(B)
        users.known.saw(new, body(new, FAR))

    lists.between = happens
    assert await users.of(FAR) == {A, new}
    assert await users.of(NEAR) == frozenset()


async def test_a_list_that_breaks_off_takes_nobody_away() -> None:
    lists = Lists([[body(A, FAR)]], fails=True)
    users = lists.users()
    users.known.saw(B, body(B, FAR))
    with pytest.raises(UnavailableError):
        await users.of(FAR)
    assert users.known.of(FAR) == {A, B}
    lists.fails = False
    assert await users.of(FAR) == {A}


async def test_namespaces_that_are_served_are_listed_one_by_one() -> None:
    lists = Lists([[body(A, FAR)]])
    await lists.users("calls", "media").of(FAR)
    assert lists.asked == ["calls", "media"]

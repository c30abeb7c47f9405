"""Which rounds events call for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from callfleet_operator.handlers.wakes import Wakes
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.pool_users import PoolUsers
from callfleet_operator.reconcile.resource_directory import ResourceDirectory

CLUSTER = Key(Kind.CALL_CLUSTER, "calls", "a")
OTHER = Key(Kind.CALL_CLUSTER, "calls", "b")
POOL = Key(Kind.TURN_POOL, "media", "relays")


class Nodes:
    """Every body is news once."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def saw(self, body: Mapping[str, Any]) -> bool:
        name = body["metadata"]["name"]
        news = self.known.get(name) != body
        self.known[name] = body
        return news

    def gone(self, name: str) -> None:
        self.known.pop(name, None)


class Woken:
    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.wakes = Wakes(self.keys.append, Nodes(), ResourceDirectory(), PoolUsers())

    def take(self) -> set[Key]:
        """Who was woken since the last time."""
        found = set(self.keys)
        self.keys.clear()
        return found


@pytest.fixture
def woken() -> Woken:
    return Woken()


def resource(key: Key, generation: int = 1, pools: object = ()) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": key.namespace,
            "name": key.name,
            "generation": generation,
            "resourceVersion": str(generation),
        },
        "spec": {"turn": {"poolRefs": pools}},
    }


def pod(key: Key) -> dict[str, Any]:
    label = "callfleet.dev/pool" if key.kind is Kind.TURN_POOL else "callfleet.dev/cluster"
    return {"metadata": {"namespace": key.namespace, "name": "p", "labels": {label: key.name}}}


def know_all(woken: Woken) -> None:
    reference = [{"name": "relays", "namespace": "media"}]
    woken.wakes.resource(Kind.TURN_POOL, resource(POOL), deleted=False)
    woken.wakes.resource(Kind.CALL_CLUSTER, resource(CLUSTER, pools=reference), deleted=False)
    woken.wakes.resource(Kind.CALL_CLUSTER, resource(OTHER), deleted=False)
    woken.take()


def test_an_object_wakes_itself(woken: Woken) -> None:
    woken.wakes.resource(Kind.TURN_POOL, resource(POOL), deleted=False)
    assert woken.take() == {POOL}


def test_a_cluster_wakes_the_pools_it_names_and_those_it_named(woken: Woken) -> None:
    know_all(woken)
    woken.wakes.resource(Kind.CALL_CLUSTER, resource(CLUSTER, 2), deleted=False)
    assert woken.take() == {CLUSTER, POOL}
    woken.wakes.resource(Kind.CALL_CLUSTER, resource(CLUSTER, 3), deleted=False)
    assert woken.take() == {CLUSTER}


def test_a_pool_wakes_the_clusters_that_name_it(woken: Woken) -> None:
    know_all(woken)
    woken.wakes.resource(Kind.TURN_POOL, resource(POOL, 2), deleted=False)
    assert woken.take() == {POOL, CLUSTER}


def test_a_status_is_nobody_elses_business(woken: Woken) -> None:
    know_all(woken)
    woken.wakes.resource(Kind.TURN_POOL, resource(POOL), deleted=False)
    assert woken.take() == {POOL}


def test_pods_wake_both_sides(woken: Woken) -> None:
    know_all(woken)
    woken.wakes.pod(pod(CLUSTER))
    assert woken.take() == {CLUSTER, POOL}
    woken.wakes.pod(pod(POOL))
    assert woken.take() == {CLUSTER, POOL}
    woken.wakes.pod(pod(OTHER))
    assert woken.take() == {OTHER}
    woken.wakes.pod({"metadata": {"namespace": "calls", "name": "foreign"}})
    assert woken.take() == set()


def test_a_deleted_object_is_forgotten(woken: Woken) -> None:
    know_all(woken)
    woken.wakes.resource(Kind.CALL_CLUSTER, resource(CLUSTER), deleted=True)
    assert woken.take() == {CLUSTER, POOL}
    woken.wakes.pod(pod(POOL))
    assert woken.take() == {POOL}


def test_a_pool_that_is_not_there_is_not_woken(woken: Woken) -> None:
    reference = [{"name": "nowhere"}]
    woken.wakes.resource(Kind.CALL_CLUSTER, resource(CLUSTER, pools=reference), deleted=False)
    assert woken.take() == {CLUSTER}


def test_a_node_wakes_all_when_something_has_changed(woken: Woken) -> None:
    know_all(woken)
    node = {"metadata": {"name": "node-a"}}
    woken.wakes.node(node, deleted=False)
    assert woken.take() == {CLUSTER, OTHER, POOL}
    woken.wakes.node(node, deleted=False)  # a heartbeat
    assert woken.take() == set()
    woken.wakes.node(node, deleted=True)
    assert woken.take() == {CLUSTER, OTHER, POOL}

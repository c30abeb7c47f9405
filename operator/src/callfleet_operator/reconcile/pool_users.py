"""Which CallClusters name which TurnPools: as events tell it, and as a list does now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callfleet_operator.gateway.kube import Kube
from callfleet_operator.reconcile.keys import Key, Kind

LIST_SHARE: Final = 100.0
"""A list of all CallClusters serves for so many times as long as it took: about a tick while there
are dozens, minutes with 2,000."""


@dataclass(slots=True)
class PoolUsers:
    """The CallClusters of each TurnPool as far as they are known, whether it admits them or not."""

    _pools: dict[Key, frozenset[Key]] = field(default_factory=dict)
    """By CallCluster."""
    _users: dict[Key, set[Key]] = field(default_factory=dict)
    """By TurnPool."""

    def saw(self, cluster: Key, body: Mapping[str, Any]) -> None:
        """A CallCluster is there, new or changed."""
        pools = frozenset(_pools_of(body))
        if pools == self._pools.get(cluster):
            return
        self.gone(cluster)
        self._pools[cluster] = pools
        for pool in pools:
            self._users.setdefault(pool, set()).add(cluster)

    def gone(self, cluster: Key) -> None:
        """A CallCluster has been deleted."""
        for pool in self._pools.pop(cluster, ()):
            self._users[pool].discard(cluster)
            if not self._users[pool]:
                del self._users[pool]

    def pools_of(self, cluster: Key) -> frozenset[Key]:
        """The TurnPools that a CallCluster names, there or not."""
        return self._pools.get(cluster, frozenset())

    def of(self, pool: Key) -> frozenset[Key]:
        """The CallClusters that name a TurnPool."""
        return frozenset(self._users.get(pool, ()))

    def all(self) -> Mapping[Key, frozenset[Key]]:
        """All CallClusters with what they name, as it is now."""
        return dict(self._pools)


@dataclass(slots=True)
class CompleteUsers:
    """As `PoolUsers`, with all CallClusters there are.

    A relay must be told of every engine that may use it. Events do not say when they have told of
    all CallClusters, so those are listed before the first answer.
    """

    kube: Kube
    namespaces: tuple[str, ...]
    """Namespaces that are served; empty: all."""
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    known: PoolUsers = field(default_factory=PoolUsers)
    """What events tell is noted here."""
    share: float = LIST_SHARE
    _list_again: float = float("-inf")
    _listing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, pool: Key) -> frozenset[Key]:
        """All CallClusters that name a TurnPool. Raises what `Kube.pages` raises."""
        async with self._listing:
            began = self.clock()
            if began >= self._list_again:
                await self._list()
                self._list_again = began + self.share * (self.clock() - began)
        return self.known.of(pool)

    async def _list(self) -> None:
        """Take over what a list says, but for what events have told since it was asked for."""
        before = self.known.all()
        absent = set(before)
        for namespace in self.namespaces or ("",):
            async for page in self.kube.pages(Kind.CALL_CLUSTER.resource, namespace):
                for body in page.get("items", []):
                    metadata = body["metadata"]
                    key = Key(Kind.CALL_CLUSTER, metadata["namespace"], metadata["name"])
                    absent.discard(key)
                    if self.known.pools_of(key) == before.get(key, frozenset()):
                        self.known.saw(key, body)
        for key in absent:
            if self.known.pools_of(key) == before[key]:
                self.known.gone(key)


def _pools_of(body: Mapping[str, Any]) -> Iterable[Key]:
    namespace = body["metadata"]["namespace"]
    turn = (body.get("spec") or {}).get("turn") or {}
    for reference in turn.get("poolRefs") or ():
        yield Key(Kind.TURN_POOL, reference.get("namespace") or namespace, reference["name"])

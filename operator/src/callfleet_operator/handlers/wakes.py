"""Which rounds an event of the cluster calls for. Handlers decide nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from callfleet_operator.reconcile.keys import Key, Kind

Body = Mapping[str, Any]
_FLEET_LABELS = {
    "callfleet.dev/cluster": Kind.CALL_CLUSTER,
    "callfleet.dev/pool": Kind.TURN_POOL,
}


class Nodes(Protocol):
    """Keeps what nodes say of themselves."""

    def saw(self, body: Body) -> bool:
        """Take note of a node; returns whether anything that counts has changed."""

    def gone(self, name: str) -> None:
        """Forget a node."""


class Resources(Protocol):
    """Keeps custom resources."""

    def saw(self, key: Key, body: Body, /) -> None:
        """Take note of a custom resource."""

    def gone(self, key: Key, /) -> None:
        """Forget one."""


class Users(Resources, Protocol):
    """Keeps which CallClusters name which TurnPools."""

    def pools_of(self, cluster: Key) -> Collection[Key]:
        """The TurnPools that a CallCluster names, there or not."""

    def of(self, pool: Key) -> Collection[Key]:
        """The CallClusters that name a TurnPool."""


@dataclass(slots=True)
class Wakes:
    """Turns events into keys.

    A CallCluster and the TurnPools it names wake each other: a new engine is a new peer for the
    relays, and a new relay is handed out by the engines.
    """

    add: Callable[[Key], None]
    nodes: Nodes
    resources: Resources
    users: Users
    _generations: dict[Key, int] = field(default_factory=dict)

    def resource(self, kind: Kind, body: Body, *, deleted: bool) -> None:
        """A custom resource was seen, has changed or is gone."""
        metadata = body["metadata"]
        key = Key(kind, metadata["namespace"], metadata["name"])
        if deleted:
            self.resources.gone(key)
        else:
            self.resources.saw(key, body)
        self.add(key)
        generation = metadata.get("generation", 0)
        if not deleted and self._generations.get(key) == generation:
            return  # only its status or metadata: that is nobody else's business
        partners = self._partners(key)
        if deleted:
            self._generations.pop(key, None)
        else:
            self._generations[key] = generation
        if kind is Kind.CALL_CLUSTER:
            if deleted:
                self.users.gone(key)
            else:
                self.users.saw(key, body)
                partners |= self._partners(key)
        self._wake(partners)

    def pod(self, body: Body) -> None:
        """A pod of a fleet was seen, has changed or is gone."""
        metadata = body["metadata"]
        labels = metadata.get("labels") or {}
        for label, kind in _FLEET_LABELS.items():
            if label in labels:
                key = Key(kind, metadata["namespace"], labels[label])
                self.add(key)
                self._wake(self._partners(key))

    def node(self, body: Body, *, deleted: bool) -> None:
        """A node was seen, has changed or is gone. Most changes are heartbeats and wake nobody."""
        if deleted:
            self.nodes.gone(body["metadata"]["name"])
        elif not self.nodes.saw(body):
            return
        self._wake(self._generations)

    def _partners(self, key: Key) -> set[Key]:
        if key.kind is Kind.CALL_CLUSTER:
            return set(self.users.pools_of(key))
        return set(self.users.of(key))

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if key in self._generations:  # others are not there, or not served
                self.add(key)

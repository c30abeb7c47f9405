"""The nodes that pods run on: as the watch tells them, asked for where it has not yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from callfleet_operator.gateway.errors import ForbiddenError
from callfleet_operator.gateway.kube import Kube
from callfleet_operator.gateway.resources import NODES
from callfleet_operator.observe.nodes import Node, node_of

MAX_AGE = 600.0
"""Seconds; the kubelet reports every five minutes at least, so a watched node is younger."""


@dataclass(slots=True)
class _Entry:
    node: Node
    at: float


@dataclass(slots=True)
class NodeDirectory:
    """What is known of nodes. Bounded by the number of nodes in the cluster."""

    kube: Kube
    clock: Callable[[], float]
    _entries: dict[str, _Entry] = field(default_factory=dict)

    def saw(self, body: Mapping[str, Any]) -> bool:
        """A node as an event shows it; returns whether anything that counts has changed."""
        node = node_of(body)
        known = self._entries.get(node.name)
        self._entries[node.name] = _Entry(node, self.clock())
        return known is None or known.node != node

    def gone(self, name: str) -> None:
        """A node has been deleted."""
        self._entries.pop(name, None)

    async def of(self, names: Iterable[str]) -> Mapping[str, Node] | None:
        """The named nodes; one that is left out does not exist. None: nodes may not be read."""
        found: dict[str, Node] = {}
        for name in set(names):
            entry = self._entries.get(name)
            if entry is None or self.clock() - entry.at > MAX_AGE:
                # A pod's node that no event has shown is new, or gone: only the server can tell.
                try:
                    body = await self.kube.get(NODES, "", name)
                except ForbiddenError:
                    return None
                if body is None:
                    self.gone(name)
                    continue
                self.saw(body)
            found[name] = self._entries[name].node
        return found

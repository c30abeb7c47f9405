"""The custom resources as the watch tells them, so that a round need not ask for its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from callfleet_operator.reconcile.keys import Key


@dataclass(slots=True)
class ResourceDirectory:
    """What is known of custom resources. What is not known the API server is asked for."""

    _bodies: dict[Key, dict[str, Any]] = field(default_factory=dict)
    _told: set[Key] = field(default_factory=set)
    """Those that events have told, and so will tell on: only what is told may be remembered."""

    def saw(self, key: Key, body: Mapping[str, Any]) -> None:
        """A resource as an event shows it."""
        self._told.add(key)
        self._keep(key, body)

    def note(self, key: Key, body: Mapping[str, Any]) -> None:
        """A resource as a write of ours has left it."""
        if key in self._bodies:
            self._keep(key, body)

    def answered(self, key: Key, body: Mapping[str, Any]) -> None:
        """A resource as the API server has answered; its end may have been told meanwhile."""
        if key in self._told:
            self._keep(key, body)

    def doubt(self, key: Key) -> None:
        """What is known is not to be relied on: the API server is asked before the next use."""
        self._bodies.pop(key, None)

    def gone(self, key: Key) -> None:
        """A resource has been deleted."""
        self.doubt(key)
        self._told.discard(key)

    def of(self, key: Key) -> dict[str, Any] | None:
        """The resource; None where the API server has to be asked."""
        return self._bodies.get(key)

    def _keep(self, key: Key, body: Mapping[str, Any]) -> None:
        """What arrives late is passed over."""
        known = self._bodies.get(key)
        if known is None or _version(body) >= _version(known):
            self._bodies[key] = _without_owners_of_fields(body)


def _version(body: Mapping[str, Any]) -> int:
    """Its resource version, which the API server orders; 0 when it is no number."""
    version: str = body["metadata"]["resourceVersion"]
    return int(version) if version.isascii() and version.isdecimal() else 0


def _without_owners_of_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """More than half of a resource says who has set which field, which no round asks for: a status
    that is equal is not applied in the first place."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": metadata}

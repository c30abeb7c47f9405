"""The custom resources as the watch tells them, so that a round need not ask for its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.reconcile.keys import Key, Kind

Resource = CallCluster | TurnPool
_Body = Mapping[str, Any]
_MODELS: Final[Mapping[Kind, type[Resource]]] = {
    Kind.CALL_CLUSTER: CallCluster,
    Kind.TURN_POOL: TurnPool,
}


@dataclass(slots=True)
class ResourceDirectory:
    """What is known of custom resources. What is not known the API server is asked for."""

    _known: dict[Key, _Body | Resource] = field(default_factory=dict)
    """Bodies that nobody has asked for yet, and resources read from them."""
    _told: set[Key] = field(default_factory=set)
    """Those that events have told, and so will tell on: only what is told may be remembered."""

    def saw(self, key: Key, body: _Body) -> None:
        """A resource as an event shows it."""
        self._told.add(key)
        self._keep(key, _without_owners_of_fields(body))

    def note(self, key: Key, body: _Body) -> None:
        """A resource as a write of ours has left it."""
        if key in self._known:
            self._keep(key, _without_owners_of_fields(body))

    def answered(self, key: Key, body: _Body) -> Resource:
        """A resource as the API server has answered; its end may have been told meanwhile.

        Raises ValidationError, as `of` does.
        """
        resource = _MODELS[key.kind].model_validate(body)
        if key in self._told:
            self._keep(key, resource)
        return resource

    def doubt(self, key: Key) -> None:
        """What is known is not to be relied on: the API server is asked before the next use."""
        self._known.pop(key, None)

    def gone(self, key: Key) -> None:
        """A resource has been deleted."""
        self.doubt(key)
        self._told.discard(key)

    def of(self, key: Key) -> Resource | None:
        """The resource; None where the API server has to be asked.

        Raises ValidationError if it does not have the shape that this release knows.
        """
        known = self._known.get(key)
        if isinstance(known, Mapping):
            known = self._known[key] = _MODELS[key.kind].model_validate(known)
        return known

    def _keep(self, key: Key, news: _Body | Resource) -> None:
        """What arrives late is passed over."""
        known = self._known.get(key)
        if known is None or _version(news) >= _version(known):
            self._known[key] = news


def _version(known: _Body | Resource) -> int:
    """Its resource version, which the API server orders; 0 when it is no number."""
    if isinstance(known, Mapping):
        version: str = known["metadata"]["resourceVersion"]
    else:
        version = known.metadata.resource_version
    return int(version) if version.isascii() and version.isdecimal() else 0


def _without_owners_of_fields(body: _Body) -> _Body:
    """More than half of a resource says who has set which field, which no round asks for."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": metadata}

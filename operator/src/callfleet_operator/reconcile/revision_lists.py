"""Which ControllerRevisions there are of a fleet: at a start asked for by namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.resources import REVISIONS
from callfleet_operator.observe.owners import controller_of
from callfleet_operator.reconcile.templates import Stored
from callfleet_operator.render.fleet import COMPONENT_LABEL, Component, Fleet

TOGETHER_WITHIN: Final = 60.0
"""Seconds since the first fleet has asked. Later ones are few, and ask each for its own."""

_Place = tuple[Component, str]
_Found = dict[str, tuple[Stored, ...]]
"""By the uid of the custom resource that controls them."""


@dataclass(slots=True)
class RevisionLists:
    """The ControllerRevisions of all fleets: as they are now, or at a fleet's first question after
    a start as they were since that start.

    With thousands of fleets that all ask at a start, one list a namespace spares the API server a
    search through the namespace for each.
    """

    kube: Kube
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    _found: dict[_Place, _Found] = field(default_factory=dict)
    """By component and namespace what no fleet has asked for yet."""
    _until: float | None = None
    _listing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, fleet: Fleet) -> tuple[Stored, ...]:
        """Those of a fleet, oldest first. Raises what `Kube.list_all` raises."""
        together = await self._together(fleet)
        if together is not None:
            return together
        bodies = await self.kube.list_all(REVISIONS, fleet.namespace, fleet.label_selector)
        return _by_controller(bodies).get(fleet.uid, ())

    async def _together(self, fleet: Fleet) -> tuple[Stored, ...] | None:
        """What the list of the namespace has of a fleet; None if it asks for another time, too
        late, or was not there then."""
        now = self.clock()
        if self._until is None:
            self._until = now + TOGETHER_WITHIN
        if now >= self._until:
            self._found.clear()
            return None
        place = fleet.component, fleet.namespace
        async with self._listing:
            if place not in self._found:
                self._found[place] = {}  # if the list fails each fleet asks for its own
                label = fleet.component.fleet_label
                bodies = await self.kube.list_all(
                    REVISIONS, fleet.namespace, f"{COMPONENT_LABEL}={fleet.component},{label}"
                )
                self._found[place] = _by_controller(bodies)
        return self._found[place].pop(fleet.uid, None)


def _by_controller(bodies: Iterable[Body]) -> _Found:
    found: dict[str, list[Stored]] = {}
    for body in bodies:
        found.setdefault(controller_of(body), []).append(Stored.of(body))
    return {uid: tuple(sorted(stored, key=lambda one: one.number)) for uid, stored in found.items()}

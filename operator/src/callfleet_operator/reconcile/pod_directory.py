"""The pods of all fleets: as the watch tells them, asked for while it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.resources import PODS
from callfleet_operator.observe.pods import SeenPod, seen_pod
from callfleet_operator.render.fleet import COMPONENT_LABEL, Component, Fleet

_FleetKey = tuple[str, str]
_PodKey = tuple[str, str]


@dataclass(slots=True)
class PodDirectory:
    """What is known of the pods of one component; a `gateway.watch.Mirror`.

    A round reads its own writes: what it writes is noted here at once, and an event of before
    that arrives later is passed over, by the order of resource versions.
    """

    kube: Kube
    component: Component
    wake: Callable[[Mapping[str, Any]], None] = lambda _: None
    """Called with each pod that has changed or is gone, once that is noted."""
    _fleets: dict[_FleetKey, dict[_PodKey, SeenPod]] = field(default_factory=dict)
    _places: dict[_PodKey, _FleetKey] = field(default_factory=dict)
    _heard: dict[str, int] = field(default_factory=dict)
    """By namespace of pods, the newest version that the watch has told of."""
    _current: set[str] = field(default_factory=set)
    """Namespaces that are followed without a gap; empty: all namespaces together."""
    _became_current: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def selector(self) -> str:
        """Label selector of all pods that any fleet of this component may ask for."""
        return self.component.fleet_label

    async def of(self, fleet: Fleet) -> tuple[SeenPod, ...]:
        """The pods with the labels of a fleet."""
        if not self._current & {"", fleet.namespace}:
            bodies = await self.kube.list_all(PODS, fleet.namespace, fleet.label_selector)
            return tuple(map(seen_pod, bodies))
        return tuple(self._fleets.get((fleet.namespace, fleet.name), {}).values())

    def note(self, body: Body) -> None:
        """A pod as a write of ours has left it, unless the watch has gone past that: an answer
        that arrives after the end of its pod must not bring it back."""
        seen = seen_pod(body)
        if seen.version > self._heard.get(seen.namespace, 0):
            self._put(seen)

    def note_deletion(self, namespace: str, name: str, uid: str) -> None:
        """A pod that we have deleted is about to end."""
        key = namespace, name
        known = self._known(key)
        if known is not None and known.pod.uid == uid:
            # Its version was that of before; that of the deletion comes with the event.
            ending = replace(known.pod, terminating=True, resource_version="")
            self._fleets[self._places[key]][key] = replace(known, pod=ending)

    def saw(self, body: Body) -> None:
        """A pod is there, new or changed."""
        seen = seen_pod(body)
        self._hear(seen.namespace, seen.version)
        if self._put(seen):
            self.wake(body)

    def gone(self, body: Body) -> None:
        """A pod has been deleted."""
        last = seen_pod(body)
        self._hear(last.namespace, last.version)
        key = last.namespace, last.pod.name
        known = self._known(key)
        if known is not None and known.pod.uid == last.pod.uid:
            self._drop(key)
        self.wake(body)

    def listed(self, namespace: str, uids: Collection[str], version: str) -> None:
        """Forget pods that were gone at a version."""
        present = frozenset(uids)
        for key in list(self._places):
            known = self._known(key)
            if (
                known is not None
                and namespace in ("", key[0])
                and known.pod.uid not in present
                and known.version <= int(version)
            ):
                self._drop(key)

    def current(self, namespace: str, *, whether: bool) -> None:
        """Whether every change in a namespace is heard of."""
        if whether:
            self._current.add(namespace)
            self._became_current.set()
        else:
            self._current.discard(namespace)

    async def until_current(self, namespaces: Collection[str]) -> None:
        """Return once every change in all of these namespaces is heard of."""
        while not self._current.issuperset(namespaces):
            self._became_current.clear()
            await self._became_current.wait()

    def _hear(self, namespace: str, version: int) -> None:
        self._heard[namespace] = max(version, self._heard.get(namespace, 0))

    def _put(self, seen: SeenPod) -> bool:
        key = seen.namespace, seen.pod.name
        known = self._known(key)
        if known is not None:
            if seen.version < known.version:
                return False
            self._drop(key)
        labels = dict(seen.labels)
        is_ours = labels.get(COMPONENT_LABEL) == self.component
        # Under an empty name nobody asks for it.
        place = seen.namespace, labels.get(self.component.fleet_label, "") if is_ours else ""
        self._fleets.setdefault(place, {})[key] = seen
        self._places[key] = place
        return True

    def _known(self, key: _PodKey) -> SeenPod | None:
        place = self._places.get(key)
        return None if place is None else self._fleets[place][key]

    def _drop(self, key: _PodKey) -> None:
        place = self._places.pop(key)
        pods = self._fleets[place]
        del pods[key]
        if not pods:
            del self._fleets[place]

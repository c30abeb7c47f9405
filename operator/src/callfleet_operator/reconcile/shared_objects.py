"""Objects that specs name, read at most once a tick, however many fleets name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.resources import ResourceType


@dataclass(slots=True)
class SharedObjects:
    """Those of one kind. They are not watched: that would take the right to list them all."""

    kube: Kube
    resource: ResourceType
    max_age: float
    """Seconds."""
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    _read: dict[tuple[str, str], tuple[float, Body]] = field(default_factory=dict)
    _swept: float = 0.0

    async def get(self, namespace: str, name: str) -> Body | None:
        """The object, or None if there is none: that is asked for anew each time.

        Raises what `Kube.get` raises.
        """
        now = self.clock()
        self._sweep(now)
        known = self._read.get((namespace, name))
        if known is not None and now - known[0] < self.max_age:
            return known[1]
        body = await self.kube.get(self.resource, namespace, name)
        if body is not None:
            self._read[namespace, name] = now, body
        return body

    def _sweep(self, now: float) -> None:
        """Keep no secret longer than it is used."""
        if now - self._swept >= self.max_age:
            self._swept = now
            old = [key for key, (at, _) in self._read.items() if now - at >= self.max_age]
            for key in old:
                del self._read[key]

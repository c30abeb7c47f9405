"""Whether the API server has PodMonitors: only where Prometheus Operator is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from callfleet_operator.gateway.kube import Kube
from callfleet_operator.gateway.resources import POD_MONITORS

RECHECK: Final = 60.0
"""Seconds after which the API server is asked again whether it has the kind."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PodMonitorKind:
    """Whether the API server has PodMonitors; it may get them, and lose them, at any time."""

    kube: Kube
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    _served: bool = False
    _asked: float | None = None

    async def served(self) -> bool:
        """One small request a minute for all fleets together."""
        now = self.clock()
        if self._asked is None or now - self._asked >= RECHECK:
            served = await self.kube.serves(POD_MONITORS)
            if served != self._served:
                log.info(
                    "PodMonitors are %s",
                    "served from now on" if served else "not served any more",
                    extra={"event": "pod-monitors", "served": served},
                )
            self._served, self._asked = served, now
        return self._served

    def gone(self) -> None:
        """The API server did not know the kind."""
        self._served = False

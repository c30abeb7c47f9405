"""The objects of a fleet besides its pods: applied where they differ, never taken from others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from callfleet_operator.gateway.errors import (
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
)
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import resource_of
from callfleet_operator.observe.owners import controller_of
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.pod_monitor import pod_monitor

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Troubles:
    """What could not be applied; `status.Facts` says what becomes of the texts."""

    name_conflicts: list[str] = field(default_factory=list)
    apply_errors: list[str] = field(default_factory=list)
    moves: dict[str, str] = field(default_factory=dict)
    """By uid the pods that were told to move their calls, with what keeps them from it."""

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.name_conflicts or self.apply_errors)

    def refused(self, kind: str, name: str, refusal: KubeError) -> None:
        """The API server did not take an object."""
        self.apply_errors.append(f"{kind} {name}: {refusal.message}")
        log.warning(
            "refused: %s %s: %s",
            kind,
            name,
            refusal,
            extra={"event": "apply-refused", "cause": refusal.cause},
        )


def is_owned(body: Mapping[str, Any], uid: str) -> bool:
    """Whether the custom resource of this uid controls the object."""
    return controller_of(body) == uid


async def ensure(
    services: Services, fleet: Fleet, bodies: Iterable[Body], troubles: Troubles
) -> None:
    """Apply what differs. An object of somebody else is left alone, a refusal noted: neither
    keeps the others from being applied."""
    wanted = list(bodies)
    # Read at the same time, applied in order: a changed resource waits for this.
    found = await asyncio.gather(
        *(
            services.kube.get(resource_of(body), fleet.namespace, body["metadata"]["name"])
            for body in wanted
        )
    )
    for body, live in zip(wanted, found, strict=True):
        kind, name = body["kind"], body["metadata"]["name"]
        if live is not None and not is_owned(live, fleet.uid):
            troubles.name_conflicts.append(f"{kind} {name}")
            continue
        try:
            await services.kube.apply(body, live)
        except (ForbiddenError, InvalidError) as refusal:
            troubles.refused(kind, name, refusal)


async def ensure_monitor(services: Services, fleet: Fleet, troubles: Troubles) -> None:
    """Apply the PodMonitor of a fleet if there is such a kind; that there is none is no trouble."""
    if not await services.pod_monitors.served():
        return
    try:
        await ensure(services, fleet, [pod_monitor(fleet, services.installation)], troubles)
    except NotFoundError:
        services.pod_monitors.gone()

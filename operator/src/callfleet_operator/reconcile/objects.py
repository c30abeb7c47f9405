"""The objects of a fleet besides its pods: applied where they differ, never taken from others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callfleet_operator.gateway.errors import (
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
)
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import REVISIONS, resource_of
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.pod_monitor import pod_monitor
from callfleet_operator.render.revision import controller_revision, revision_hash, template_of

RENDERED_FROM: Final = "callfleet.dev/rendered-from"
"""Annotation of a ControllerRevision: the spec's generation and the image it was rendered from."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Troubles:
    """What could not be applied; `status.Facts` says what becomes of the texts."""

    name_conflicts: list[str] = field(default_factory=list)
    apply_errors: list[str] = field(default_factory=list)

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
    return any(
        owner.get("controller") and owner.get("uid") == uid
        for owner in body["metadata"].get("ownerReferences") or []
    )


async def ensure(
    services: Services, fleet: Fleet, bodies: Iterable[Body], troubles: Troubles
) -> None:
    """Apply what differs. An object of somebody else is left alone, a refusal noted: neither
    keeps the others from being applied."""
    for body in bodies:
        kind, name = body["kind"], body["metadata"]["name"]
        live = await services.kube.get(resource_of(body), fleet.namespace, name)
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


@dataclass(frozen=True, slots=True)
class Revision:
    """The template that new pods are made from."""

    hash: str
    template: Mapping[str, Any]


async def ensure_revision(
    services: Services,
    fleet: Fleet,
    template: Mapping[str, Any],
    generation: int,
    troubles: Troubles,
    *,
    write: bool,
) -> Revision:
    """The newest ControllerRevision, made anew when the spec or the image has changed.

    As long as both are what the newest was rendered from, its template stands, even if this
    release would render another one: a new operator by itself changes no pod. Without `write`
    nothing is stored.
    """
    source = f"{generation}/{fleet.image}"
    revisions = sorted(
        (
            body
            for body in await services.kube.list_all(REVISIONS, fleet.namespace, selector(fleet))
            if is_owned(body, fleet.uid)
        ),
        key=lambda body: body.get("revision", 0),
    )
    newest = revisions[-1] if revisions else None
    if newest is not None and _rendered_from(newest) == source:
        try:
            stored = template_of(newest)
        except ValueError as broken:
            troubles.apply_errors.append(str(broken))
        else:
            return Revision(revision_hash(stored), stored)
    number = newest.get("revision", 0) if newest else 0
    wanted = revision_hash(template)
    if not write:
        return Revision(wanted, template)
    same = newest is not None and newest["metadata"]["name"].endswith(f"-{wanted}")
    body = controller_revision(fleet, template, number=number if same else number + 1)
    body["metadata"]["annotations"] = {RENDERED_FROM: source}
    await ensure(services, fleet, [body], troubles)
    return Revision(wanted, template)


def selector(fleet: Fleet) -> str:
    """Label selector of everything of a fleet."""
    return ",".join(f"{key}={value}" for key, value in fleet.selector.items())


def _rendered_from(body: Mapping[str, Any]) -> str:
    return str((body["metadata"].get("annotations") or {}).get(RENDERED_FROM, ""))

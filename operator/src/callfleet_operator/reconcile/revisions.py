"""ControllerRevisions: the pod templates of a fleet, found again by content, old ones pruned."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from callfleet_operator.gateway.errors import ConflictError, ForbiddenError
from callfleet_operator.gateway.resources import REVISIONS
from callfleet_operator.reconcile.objects import Troubles, ensure
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.templates import Revision, Revisions
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.revision import controller_revision, revision_hash

RENDERED_FROM: Final = "callfleet.dev/rendered-from"
"""Annotation of a ControllerRevision: the spec's generation and the image it was rendered from."""
RENDERED_SPEC: Final = "callfleet.dev/rendered-spec"
"""Annotation of a ControllerRevision: digest of all in the spec that a template may depend on."""
HISTORY: Final = 10
"""Revisions kept beside those that pods have, so that a rollback finds its number again; as many
as a StatefulSet keeps."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """What a template is rendered from."""

    generation: int
    digest: str
    """`render.revision.spec_digest`."""


async def ensure_revisions(
    services: Services,
    fleet: Fleet,
    template: Mapping[str, Any],
    source: Source,
    troubles: Troubles,
    *,
    write: bool,
    hold: bool = False,
) -> Revisions:
    """The revisions, with one made or found again when the spec or the image has changed.

    As long as both are what the newest was rendered from, its template stands, even if this
    release would render another one: a new operator by itself changes no pod, and neither does a
    change of the spec that no template depends on. Without `write` nothing is stored. With `hold`
    the newest stands whatever has changed, if there is one.
    """
    stored = await services.revisions.of(fleet)
    newest = stored[-1] if stored else None
    marks = {RENDERED_FROM: f"{source.generation}/{fleet.image}", RENDERED_SPEC: source.digest}
    update = None
    if newest is not None and (hold or not newest.marks.items().isdisjoint(marks.items())):
        update = newest.revision
        if update is None:
            troubles.apply_errors.append(
                f"ControllerRevision {newest.name} holds no pod template: delete it"
            )
    if update is None:
        update = Revision.of(revision_hash(template), template)
    same = newest is not None and newest.hash == update.hash
    stands = bool(newest and same and (hold or newest.marks.items() >= marks.items()))
    if write and not stands:
        number = newest.number if newest else 0
        body = controller_revision(
            fleet, update.hash, update.template, number=number if same else number + 1
        )
        body["metadata"]["annotations"] = marks
        await ensure(services, fleet, [body], troubles)
    return Revisions(update, stored, stands)


async def prune(
    services: Services,
    fleet: Fleet,
    revisions: Revisions,
    in_use: Collection[str],
    troubles: Troubles,
) -> bool:
    """Delete old revisions: never one that a pod has, and HISTORY others stay as well.

    Returns whether there were any to delete.
    """
    unused = [
        one
        for one in revisions.stored
        if one.hash != revisions.update.hash and one.hash not in in_use
    ]
    old = unused[: max(0, len(unused) - HISTORY)]
    for one in old:
        try:
            await services.kube.delete(
                REVISIONS, fleet.namespace, one.name, one.uid, one.resource_version
            )
        except ConflictError:
            continue  # it has changed, so it may be wanted again: the next round looks anew
        except ForbiddenError as refusal:
            troubles.refused("ControllerRevision", one.name, refusal)
            break
        log.info(
            "pruned %s", one.name, extra={"event": "revision-pruned", "object": fleet.consumer}
        )
    return bool(old)

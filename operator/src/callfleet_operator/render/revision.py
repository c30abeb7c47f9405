"""ControllerRevision: the pod template as it was when pods were made from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from callfleet_operator.render.fleet import REVISION_LABEL, Fleet

_DIGITS = 10


def revision_hash(template: Mapping[str, Any]) -> str:
    """First 10 hex digits of the SHA-256 of the template's canonical JSON (sorted, compact)."""
    canonical = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGITS]


def controller_revision(
    fleet: Fleet, template: Mapping[str, Any], *, number: int
) -> dict[str, Any]:
    """The ControllerRevision of a template; `number` grows with each new one of the fleet."""
    revision = revision_hash(template)
    metadata = fleet.metadata(f"{fleet.object_name}-{revision}")
    metadata["labels"] = {**metadata["labels"], REVISION_LABEL: revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": {"template": template},
        "revision": number,
    }


def template_of(revision: Mapping[str, Any]) -> dict[str, Any]:
    """The template inside a ControllerRevision.

    Raises ValueError when there is none: somebody else made the object.
    """
    template = (revision.get("data") or {}).get("template")
    if not isinstance(template, dict):
        name = revision.get("metadata", {}).get("name", "?")
        raise ValueError(  # noqa: TRY004  # not a caller's mistake but another's object
            f"ControllerRevision {name} holds no pod template: delete it"
        )
    return template

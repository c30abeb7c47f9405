"""ControllerRevision: the pod template as it was when pods were made from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from callfleet_operator.api.v1alpha1.common import FleetSpec
from callfleet_operator.render.fleet import REVISION_LABEL, Fleet

_DIGITS = 10
_NOT_RENDERED: Final = frozenset(
    {"mode", "image", "scaling", "capacity", "metrics", "rollout", "cost"}
)
"""Fields of a spec that no template depends on, and the image, which may be the installation's."""
_NOT_RENDERED_OF_DRAIN: Final = frozenset({"deadline_seconds", "on_deadline"})


def revision_hash(template: Mapping[str, Any]) -> str:
    """First 10 hex digits of the SHA-256 of the template's canonical JSON (sorted, compact)."""
    canonical = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGITS]


def spec_digest(spec: FleetSpec, image: str) -> str:
    """SHA-256 of all in a spec that a template may depend on, and of the image.

    What has its default is left out, so that a field that a later release adds changes nothing.
    """
    fields = spec.model_dump(
        mode="json", exclude=set(_NOT_RENDERED), exclude_defaults=True, by_alias=False
    )
    drain = fields.get("drain", {})
    fields["drain"] = {key: drain[key] for key in drain.keys() - _NOT_RENDERED_OF_DRAIN}
    canonical = json.dumps([fields, image], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def controller_revision(
    fleet: Fleet, revision: str, template: Mapping[str, Any], *, number: int
) -> dict[str, Any]:
    """The ControllerRevision of a template; `revision` is its hash, and `number` grows with each
    new one of the fleet."""
    metadata = fleet.metadata(f"{fleet.object_name}-{revision}")
    metadata["labels"] = {**metadata["labels"], REVISION_LABEL: revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": {"template": template},
        "revision": number,
    }


def template_of(revision: Mapping[str, Any]) -> dict[str, Any] | None:
    """The template inside a ControllerRevision; None when somebody else has put something else
    there."""
    template = (revision.get("data") or {}).get("template")
    return template if isinstance(template, dict) else None

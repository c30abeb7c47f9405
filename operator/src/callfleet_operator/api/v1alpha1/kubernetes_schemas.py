"""The schemas of Kubernetes' own types that the custom resources embed.

They are derived from what an API server publishes and kept in kubernetes-schemas.json:

    kubectl get --raw /openapi/v3/api/v1 \\
        | python -m callfleet_operator.api.v1alpha1.kubernetes_schemas
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

STORED: Final = Path(__file__).with_name("kubernetes-schemas.json")

EMBEDDED: Final = (
    "io.k8s.api.core.v1.Affinity",
    "io.k8s.api.core.v1.EnvVar",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.ResourceRequirements",
    "io.k8s.api.core.v1.Toleration",
    "io.k8s.api.core.v1.TopologySpreadConstraint",
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
)

# These name other parts of a pod (resource claims, volumes), and a custom resource adds none.
_LEFT_OUT: Final = {("ResourceRequirements", "claims"), ("EnvVarSource", "fileKeyRef")}

_QUANTITY: Final = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": (
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
        r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    ),
}
"""A number or text such as 512Mi; `oneOf` with types, as published, is not structural."""

_KEPT: Final = (
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)


def stored() -> dict[str, Any]:
    """The kept definitions by their short name; they refer to each other by `$ref: NAME`."""
    definitions: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return definitions


def derive(openapi: dict[str, Any]) -> dict[str, Any]:
    """The embedded definitions, and what they refer to, in structural form.

    `openapi` is the document of /openapi/v3/api/v1. Raises KeyError when it lacks a type.
    """
    published = openapi["components"]["schemas"]
    found: dict[str, Any] = {}
    wanted = list(EMBEDDED)
    while wanted:
        full = wanted.pop()
        name = _short(full)
        if name not in found and name != "Quantity":
            found[name] = _structural(name, published[full])
            wanted += _references(published[full])
    found["Quantity"] = _QUANTITY
    return dict(sorted(found.items()))


def _short(full: str) -> str:
    return full.rsplit(".", 1)[1]


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for part in node for name in _references(part)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else []
    return own + [name for part in node.values() for name in _references(part)]


def _structural(name: str, published: dict[str, Any]) -> dict[str, Any]:
    if "allOf" in published:  # the published form of a reference with a description
        (reference,) = published["allOf"]
        published = {**reference, **{k: v for k, v in published.items() if k != "allOf"}}
    made: dict[str, Any] = {}
    if "description" in published:
        made["description"] = _first_sentence(published["description"])
    if "$ref" in published:
        made["$ref"] = _short(published["$ref"])
    made |= {key: published[key] for key in _KEPT if key in published}
    if "properties" in published:
        required = published.get("required", ())
        made["properties"] = {
            field: _with_default(schema, _structural("", schema), required=field in required)
            for field, schema in published["properties"].items()
            if (name, field) not in _LEFT_OUT
        }
    for key in ("items", "additionalProperties"):
        if key in published:
            made[key] = _structural("", published[key])
    return made


def _with_default(
    published: dict[str, Any], made: dict[str, Any], *, required: bool
) -> dict[str, Any]:
    """Defaults of required fields and of references are left-overs of Go's zero values: with them
    nothing would be required any more."""
    if "default" in published and "$ref" not in made and not required:
        made["default"] = published["default"]
    return made


def _first_sentence(description: str) -> str:
    paragraph = description.split("\n", 1)[0]
    return re.split(r"(?<=[a-z\"`)]\.)\s+(?=[A-Z])", paragraph, maxsplit=1)[0]


def main() -> None:
    """Read /openapi/v3/api/v1 from standard input and renew the stored definitions."""
    made = derive(json.load(sys.stdin))
    STORED.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

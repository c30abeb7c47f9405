"""Writes the reference of CallCluster and TurnPool from the models. `make generate` runs it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import click

from callfleet_operator.api.v1alpha1.common import API_VERSION
from callfleet_operator.api.v1alpha1.crd import KINDS, Kind, custom_resource_definition
from callfleet_operator.api.v1alpha1.model import VALIDATIONS

Schema = Mapping[str, Any]

_KUBERNETES: Final = {
    "affinity": "Affinity",
    "env": "EnvVar",
    "imagePullSecrets": "LocalObjectReference",
    "resources": "ResourceRequirements",
    "selector": "LabelSelector",
    "tolerations": "Toleration",
    "topologySpreadConstraints": "TopologySpreadConstraint",
}
"""Fields that carry Kubernetes' own types: its documentation has their inside."""

_HEAD: Final = f"""\
# API reference

<!-- Generated from operator/src/callfleet_operator/api/v1alpha1 by `make generate`. -->

Group and version: `{API_VERSION}`. Both kinds are namespaced and in the category `callfleet`
(`kubectl get callfleet`). `kubectl explain` knows the same texts. What is absent has the default;
where no default is shown, absent and empty mean the same. The API server refuses unknown fields and
values outside the bounds given here. [Conditions](conditions.md) has every condition and reason.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *(line for k in KINDS for line in _kind(k))])


def _kind(kind: Kind) -> Iterator[str]:
    definition = custom_resource_definition(kind)["spec"]
    (version,) = definition["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    yield f"## {kind.name}\n"
    yield f"{schema['description']} Short name `{kind.short_name}`.\n"
    yield "Columns of `kubectl get`; those in brackets with `-o wide`:\n"
    yield from table(
        ("column", "from", "meaning"),
        (
            (
                f"({column['name']})" if column.get("priority") else column["name"],
                code(column["jsonPath"]),
                column.get("description", ""),
            )
            for column in version["additionalPrinterColumns"]
        ),
    )
    for part in ("spec", "status"):
        yield from _object(kind.name, part, schema["properties"][part])
    yield f"### Rules of a {kind.name}\n"
    yield "Checked by the API server besides types and bounds:\n"
    yield from (f"- {rule}" for rule in dict.fromkeys(_rules(schema)))
    yield ""


def _object(kind: str, path: str, schema: Schema) -> Iterator[str]:
    yield f"### {kind} {path}\n"
    if says := schema.get("description"):
        yield f"{says}\n"
    inner = dict(_inner(path, schema))
    required = schema.get("required", ())
    rows = []
    for name, field in schema["properties"].items():
        default = "required" if name in required else _default(field)
        where = _place(path, name, field)
        says = field.get("description", "")
        if where in inner:
            says += f" See [{where}](#{_anchor(f'{kind} {where}')})."
        rows.append((code(name), _type(name, field), default, says.strip()))
    yield from table(("field", "type", "default", "meaning"), rows)
    for where, part in inner.items():
        yield from _object(kind, where, part)


def _inner(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    for name, field in schema["properties"].items():
        if name in _KUBERNETES:
            continue
        part = field.get("items", field)
        if "properties" in part:
            yield _place(path, name, field), part


def _place(path: str, name: str, field: Schema) -> str:
    return f"{path}.{name}[]" if "items" in field else f"{path}.{name}"


def _type(name: str, field: Schema) -> str:
    if name in _KUBERNETES:
        made = f"Kubernetes' {_KUBERNETES[name]}"
        return f"list of {made}" if field.get("type") == "array" else made
    if "items" in field:
        bound = f", at most {field['maxItems']}, " if "maxItems" in field else " "
        return f"list{bound}of {'objects' if 'properties' in field['items'] else 'strings'}"
    if "enum" in field:
        return " \\| ".join(map(code, field["enum"]))
    if "additionalProperties" in field:
        return "map of strings"
    return _scalar(field)


def _scalar(field: Schema) -> str:
    if field.get("format") == "date-time":
        return "time (RFC 3339)"
    if "minimum" in field and "maximum" in field:
        return f"{field['type']}, {field['minimum']} to {field['maximum']}"
    if "maxLength" in field:
        return f"{field['type']}, at most {field['maxLength']} characters"
    return str(field["type"])


def _default(field: Schema) -> str:
    if field.get("default") in (None, {}, "", []):
        return ""
    value = field["default"]
    return code(value if isinstance(value, str) else json.dumps(value))


def _rules(schema: Schema, path: str = "") -> Iterator[str]:
    for rule in schema.get(VALIDATIONS, ()):
        where = (path + rule.get("fieldPath", "")).lstrip(".")
        yield f"`{where}`: {rule['message']}" if where else rule["message"]
    for name, field in schema.get("properties", {}).items():
        if name not in _KUBERNETES:
            yield from _rules(field, f"{path}.{name}")
            yield from _rules(field.get("items", {}), f"{path}.{name}[]")


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Lines of a Markdown table, with an empty one after it."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def code(text: object) -> str:
    """Text as code."""
    return f"`{text}`"


def _anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading: lower case, spaces as hyphens, signs left out."""
    kept = (sign for sign in heading.lower() if sign.isalnum() or sign in " -_")
    return "".join(kept).replace(" ", "-")


if __name__ == "__main__":
    click.echo(page(), nl=False)

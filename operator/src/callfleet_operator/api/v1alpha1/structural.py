"""From a pydantic model to the structural schema of a CRD.

What a structural schema must be: https://kubernetes.io/docs/tasks/extend-kubernetes/
custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from callfleet_operator.api.v1alpha1.kubernetes_schemas import stored
from callfleet_operator.api.v1alpha1.model import KUBERNETES_SCHEMA, LIST_KEYS, VALIDATIONS

_LIST_TYPE: Final = "x-kubernetes-list-type"
_COPIED: Final = (
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-map-type",
    VALIDATIONS,
)
_DROPPED: Final = {"title", "readOnly", "$defs"}
_HANDLED: Final = {
    "$ref",
    "additionalProperties",
    "const",
    "default",
    "description",
    "items",
    "properties",
    "required",
    KUBERNETES_SCHEMA,
    LIST_KEYS,
    _LIST_TYPE,
}


class _Generator(GenerateJsonSchema):
    """Optional is absent, never null; the default of a part is `{}`, whose inside has its own."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = self.generate_inner(schema["schema"])
        default = schema.get("default")
        if default is None:
            return made
        if isinstance(default, BaseModel):
            if default != type(default)():
                raise ValueError(f"{default!r}: a part's default must be what {{}} stands for")
            value: Any = {}
        elif isinstance(default, tuple):
            value = [
                part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
                if isinstance(part, BaseModel)
                else to_jsonable_python(part)
                for part in default
            ]
        else:
            value = to_jsonable_python(default)
        return {**made, "default": value}


def structural_schema(model: type[BaseModel], *, defaults: bool) -> dict[str, Any]:
    """The structural schema of `model`.

    Without `defaults` the API server fills nothing in: a status is only what was reported.
    Raises ValueError for what a structural schema cannot say.
    """
    published = model.model_json_schema(
        by_alias=True, mode="serialization", schema_generator=_Generator
    )
    return _Structural(published.get("$defs", {}), defaults=defaults).of(published)


def hoisted_rules(schema: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Takes the CEL rules of objects with a default out of `schema` and rewrites them for an
    ancestor, from where `schema` is found by `path` (such as `.spec`).

    The API server tries a default against the rules of its own schema before any inner default
    is filled in: `default: {}` would fail nearly every rule there.
    """
    if "default" not in schema or "properties" not in schema:
        return []
    found = [
        {
            **{key: re.sub(r"\bself\b", f"self{path}", text) for key, text in rule.items()},
            "message": rule["message"],
            "fieldPath": path + rule.get("fieldPath", ""),
        }
        for rule in schema.pop(VALIDATIONS, ())
    ]
    for name, inner in schema["properties"].items():
        found += hoisted_rules(inner, f"{path}.{name}")
    return found


class _Structural:
    def __init__(self, definitions: Mapping[str, Any], *, defaults: bool) -> None:
        self._definitions = definitions
        self._kubernetes = stored()
        self._defaults = defaults

    def of(self, node: Mapping[str, Any]) -> dict[str, Any]:
        node = self._resolved(node)
        unknown = node.keys() - set(_COPIED) - _HANDLED - _DROPPED
        if unknown:
            raise ValueError(f"no structural form for {sorted(unknown)} in {dict(node)}")
        made: dict[str, Any] = {}
        if "description" in node:
            made["description"] = " ".join(node["description"].split())
        made |= {key: node[key] for key in _COPIED if key in node}
        if "const" in node:
            made["enum"] = [node["const"]]
        if node.get("type") == "array":
            made |= self._array(node)
        if "properties" in node:
            made |= self._object(node)
        if isinstance(node.get("additionalProperties"), dict):
            made["additionalProperties"] = self.of(node["additionalProperties"])
        if self._defaults and "default" in node and _says_something(node["default"], made):
            made["default"] = node["default"]
        return made

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node or KUBERNETES_SCHEMA in node:
            rest = {k: v for k, v in node.items() if k not in ("$ref", KUBERNETES_SCHEMA)}
            if KUBERNETES_SCHEMA in node:
                node = {**self._kubernetes[node[KUBERNETES_SCHEMA]], **rest}
            elif node["$ref"].startswith("#/$defs/"):
                node = {**self._definitions[node["$ref"].removeprefix("#/$defs/")], **rest}
            else:
                node = {**self._kubernetes[node["$ref"]], **rest}
        return node

    def _array(self, node: Mapping[str, Any]) -> dict[str, Any]:
        made = {"items": self.of(node["items"])}
        keys = node.get(LIST_KEYS)
        if not keys:
            return made | {_LIST_TYPE: node.get(_LIST_TYPE, "atomic")}
        for key in keys:
            field = made["items"]["properties"][key]
            if key not in made["items"].get("required", ()) and self._defaults:
                field.setdefault("default", "")  # a key must be there, or have a default
        return made | {_LIST_TYPE: "map", LIST_KEYS: keys}

    def _object(self, node: Mapping[str, Any]) -> dict[str, Any]:
        properties = {name: self.of(schema) for name, schema in node["properties"].items()}
        made: dict[str, Any] = {"properties": properties}
        computed = {name for name, schema in node["properties"].items() if schema.get("readOnly")}
        if required := [name for name in node.get("required", ()) if name not in computed]:
            made["required"] = required
        return made


def _says_something(default: object, made: Mapping[str, Any]) -> bool:
    """Empty text and empty lists say the same as an absent field; `{}` brings inner defaults."""
    if default == {}:
        return any("default" in schema for schema in made.get("properties", {}).values())
    return default not in ("", [])

"""Fields of a model by their paths, as they stand in the API."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from callfleet_operator.api.v1alpha1.model import Model


def leaves(model: type[Model], prefix: str = "") -> Iterator[str]:
    """Paths of all fields that hold no further ones of ours; of lists those of their items."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = _models(field.annotation)
        if not inner:
            yield path
        for each in inner:
            yield from leaves(each, f"{path}.")


def _models(annotation: object) -> list[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def with_field(spec: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of a spec with one field set; of a list that of its only item."""
    name, _, rest = path.partition(".")
    if not rest:
        return {**spec, name: value}
    inside = spec.get(name, {})
    if isinstance(inside, list):
        (item,) = inside
        return {**spec, name: [with_field(item, rest, value)]}
    return {**spec, name: with_field(inside, rest, value)}


def set_leaves(value: object, prefix: str = "") -> Iterator[str]:
    """Paths of everything that is set in an object, of lists those of all their items."""
    match value:
        case Mapping():
            for name, inner in value.items():
                yield from set_leaves(inner, f"{prefix}.{name}" if prefix else str(name))
        case list() | tuple():
            for item in value:
                yield from set_leaves(item, prefix)
        case _:
            yield prefix

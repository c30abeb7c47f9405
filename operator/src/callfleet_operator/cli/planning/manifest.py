"""Reads CallClusters and TurnPools from a file, as strictly as the API server would. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import yaml
from pydantic import ValidationError

from callfleet_operator.api.v1alpha1 import API_VERSION, CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.crd import KINDS, custom_resource_definition
from callfleet_operator.cli.session import Problem

_SCHEMAS: Final = {
    kind.name: custom_resource_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind in KINDS
}
_GROUP: Final = API_VERSION.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Planned:
    """The objects that a plan is made of."""

    cluster: CallCluster
    pools: Mapping[tuple[str, str], TurnPool]
    """By namespace and name."""

    @property
    def title(self) -> str:
        """The cluster in a sentence."""
        return f"CallCluster {self.cluster.metadata.name}"


def read_manifest(text: str, where: str, *, name: str, namespace: str) -> Planned:
    """The CallCluster of that name, or the only one, with the TurnPools beside it.

    `namespace` is for objects that name none. Raises Problem if it cannot be read or is refused.
    """
    clusters: list[CallCluster] = []
    pools: dict[tuple[str, str], TurnPool] = {}
    for body in _bodies(text, where):
        made = parsed(body, where, namespace=namespace)
        if isinstance(made, CallCluster):
            clusters.append(made)
        else:
            pools[made.metadata.namespace, made.metadata.name] = made
    named = [one for one in clusters if not name or one.metadata.name == name]
    if not clusters:
        raise Problem(f"There is no CallCluster in {where}: name a file with one.")
    there = ", ".join(sorted(one.metadata.name for one in clusters))
    if not named:
        raise Problem(f"There is no CallCluster {name} in {where}: there is {there}.")
    if len(named) > 1:
        raise Problem(f"{where} has several CallClusters ({there}): write the name of one.")
    return Planned(named[0], pools)


def parsed(body: Mapping[str, Any], where: str, *, namespace: str) -> CallCluster | TurnPool:
    """One object; raises Problem that names the field."""
    kind = body["kind"]
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise Problem(f"A {kind} in {where} has no metadata.name: write one.")
    title = f"{kind} {name} in {where}"
    for path, known in _unknown(body.get("spec") or {}, _SCHEMAS[kind]["properties"]["spec"]):
        close = get_close_matches(path.rpartition(".")[2], known, 1)
        meant = f"write {close[0]}" if close else f"there is {', '.join(sorted(known))}"
        raise Problem(f"{title}: there is no field {path}: {meant}.")
    model = CallCluster if kind == CallCluster.__name__ else TurnPool
    try:
        return model.model_validate({**body, "metadata": {"namespace": namespace, **metadata}})
    except ValidationError as refused:
        first = refused.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Problem(f"{title}: {field}: {first['msg']}.") from refused


def _bodies(text: str, where: str) -> Iterator[Mapping[str, Any]]:
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as broken:
        reason = " ".join(str(broken).split())
        raise Problem(f"{where} is no YAML: {reason}.") from broken
    for document in documents:
        for body in _items(document):
            if body is None:
                continue
            if not isinstance(body, dict) or not isinstance(body.get("apiVersion"), str):
                raise Problem(
                    f"{where} holds something that is no Kubernetes object: each document needs "
                    "apiVersion, kind and metadata."
                )
            if body["apiVersion"].partition("/")[0] != _GROUP:
                continue
            if str(body.get("kind")) not in _SCHEMAS:
                raise Problem(f"{where}: {_GROUP} has no kind {body.get('kind')}.")
            yield body


def _items(document: object) -> list[object]:
    """What stands in a List, or the one object."""
    if isinstance(document, dict) and document.get("kind") == "List":
        items = document.get("items")
        return items if isinstance(items, list) else [items]
    return [document]


def _unknown(
    value: object, schema: Mapping[str, Any], path: str = "spec"
) -> Iterator[tuple[str, list[str]]]:
    """Fields that the schema does not have, with those that it has in that place."""
    if isinstance(value, list):
        for item in value:
            yield from _unknown(item, schema.get("items", {}), f"{path}[]")
    if not isinstance(value, dict) or "properties" not in schema:
        return
    fields = schema["properties"]
    for name, inner in value.items():
        if name not in fields:
            yield f"{path}.{name}", list(fields)
        else:
            yield from _unknown(inner, fields[name], f"{path}.{name}")

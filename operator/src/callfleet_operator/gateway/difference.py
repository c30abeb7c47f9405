"""Whether a server-side apply would change an object. Pure.

An apply that changes nothing still costs a write request, an audit line and admission. So the
live object is compared first: every applied field must be there with its value, and every field
that an earlier apply of ours owns must still be applied, or it would have to be removed.
Source: Kubernetes reference "Server-Side Apply", managedFields in the format FieldsV1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def apply_would_change(
    desired: dict[str, Any], live: dict[str, Any], manager: str, subresource: str = ""
) -> bool:
    """Whether applying `desired` as `manager` changes `live` as far as can be told from outside.

    May say yes where the server finds nothing to do (it normalises some values); never says no
    where there is a change.
    """
    if not _holds(live, desired):
        return True
    fields = next(_applied_fields(live, manager, subresource), None)
    return fields is None or not _covers(desired, fields)


def _applied_fields(
    live: dict[str, Any], manager: str, subresource: str
) -> Iterator[dict[str, Any]]:
    for entry in live.get("metadata", {}).get("managedFields", []):
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and entry.get("subresource", "") == subresource
        ):
            yield entry.get("fieldsV1", {})


def _holds(live: object, desired: object) -> bool:
    """Whether everything in `desired` stands in `live`, which may hold more."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            key in live and _holds(live[key], value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(live, list) and len(live) == len(desired) and all(map(_holds, live, desired))
        )
    return type(live) is type(desired) and bool(live == desired)


def _covers(desired: object, fields: dict[str, Any]) -> bool:
    """Whether `desired` still has every field in a FieldsV1 tree."""
    for path, below in fields.items():
        if path == ".":
            continue
        found, child = _child(desired, path)
        if not found or (below and not _covers(child, below)):
            return False
    return True


def _child(value: object, path: str) -> tuple[bool, object]:
    kind, _, name = path.partition(":")
    if kind == "f":
        return (True, value[name]) if isinstance(value, dict) and name in value else (False, None)
    if not isinstance(value, list):
        return False, None
    if kind == "i":
        index = int(name)
        return (True, value[index]) if index < len(value) else (False, None)
    wanted = json.loads(name)
    for item in value:
        if item == wanted if kind == "v" else _has_keys(item, wanted):
            return True, item
    return False, None


def _has_keys(item: object, keys: dict[str, Any]) -> bool:
    """Keys that `item` leaves out may be defaulted ones, such as the protocol of a port."""
    return isinstance(item, dict) and all(
        item[key] == value for key, value in keys.items() if key in item
    )

"""A spec that is changed in single fields."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import yaml


class SpecError(Exception):
    """A change that cannot be made; the message says what to write."""


def with_changes(body: dict[str, Any], changes: tuple[str, ...]) -> dict[str, Any]:
    """The object with each `PATH=VALUE` set, a value being YAML. Raises SpecError.

    A list is set as a whole. Whether a field exists is the reader's to check.
    """
    changed = deepcopy(body)
    for change in changes:
        path, equals, text = change.partition("=")
        names = path.split(".")
        if not equals or names[0] != "spec" or len(names) < 2 or not all(names):
            raise SpecError(
                f"--set {change}: write a field of the spec and its value, such as "
                "spec.scaling.targetUtilizationPercent=60."
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as broken:
            raise SpecError(
                f"--set {change}: the value is no YAML: put quotes around it."
            ) from broken
        place: Any = changed
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise SpecError(f"--set {change}: {name} has no fields: set it as a whole.")
        place[names[-1]] = value
    return changed

"""A spec that is changed in single fields, and what the API server would not accept of it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import StoreType


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


def contradictions(spec: CallClusterSpec) -> Iterator[str]:
    """Rules between the fields of scaling that the API server holds and a file may break."""
    scaling = spec.scaling
    if scaling.min_replicas > scaling.max_replicas:
        yield (
            f"scaling.minReplicas {scaling.min_replicas} is above maxReplicas "
            f"{scaling.max_replicas}: lower the one or raise the other"
        )
    if spec.store.type is StoreType.SQLITE and scaling.max_replicas > 1:
        yield (
            "a SQLite store serves one pod: set scaling.maxReplicas to 1, or choose store.type "
            "PostgreSQL"
        )
    elif spec.max_total_replicas < scaling.max_replicas:
        yield (
            f"scaling.maxTotalReplicas {spec.max_total_replicas} is below maxReplicas "
            f"{scaling.max_replicas}: raise it, or remove it"
        )
    if scaling.new_call_limit_percent <= scaling.target_utilization_percent:
        yield (
            f"scaling.newCallLimitPercent {scaling.new_call_limit_percent} is not above "
            f"targetUtilizationPercent {scaling.target_utilization_percent}: raise it, or lower "
            "the target"
        )

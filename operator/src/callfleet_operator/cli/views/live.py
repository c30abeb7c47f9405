"""What one pod carries now, out of its own /metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from callfleet_operator.render.fleet import Component


@dataclass(frozen=True, slots=True)
class Live:
    """Figures of one pod; what it does not say is None."""

    used: int | None = None
    """Participants and joins under way, or allocations."""
    calls: int | None = None
    stress: float | None = None
    """The highest ratio of what the pod can bear; 1 is full."""


def live(text: str, component: Component) -> Live:
    """The figures in a page in Prometheus' text format; raises ValueError for another text.

    Contract: docs/reference/contracts.md, "Metrics".
    """
    prefix = f"callfleet_{component}_"
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith(prefix):
            values = [sample.value for sample in family.samples if math.isfinite(sample.value)]
            found[family.name.removeprefix(prefix)] = values
    if component is Component.RELAY:
        return Live(_number(found, "allocations"), None, _highest(found))
    used, joins = _number(found, "participants"), _number(found, "pending_joins")
    return Live(
        None if used is None or joins is None else used + joins,
        _number(found, "calls"),
        _highest(found),
    )


def _number(found: dict[str, list[float]], name: str) -> int | None:
    values = found.get(name, [])
    return round(values[0]) if len(values) == 1 and values[0] >= 0 else None


def _highest(found: dict[str, list[float]]) -> float | None:
    return max((value for value in found.get("stress_ratio", ()) if value >= 0), default=None)

"""The figures as a table, and the bounds they are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.scale.measurement import Measured


@dataclass(frozen=True)
class Bound:
    """What 2,000 CallClusters with 20,000 pods may take."""

    name: str
    unit: str
    limit: float

    def of(self, one: Measured) -> float:
        """The figure that is bounded."""
        return {
            "Resident memory at rest": one.resident,
            "Processor at rest": one.cpu_at_rest * 100,
            "Writes at rest": one.writes_at_rest,
            "Change acted on, slowest": max(one.reactions, default=0.0),
            "Restart until all is decided": one.restart,
        }[self.name]


BOUNDS = (
    Bound("Resident memory at rest", "MiB", 300),
    Bound("Processor at rest", "% of a core", 30),
    Bound("Writes at rest", "", 0),
    Bound("Change acted on, slowest", "s", 1),
    Bound("Restart until all is decided", "s", 30),
)


def missed(one: Measured) -> list[str]:
    """Bounds that a measurement does not keep."""
    return [
        f"{bound.name} {bound.of(one):.1f} {bound.unit}, at most {bound.limit:g}"
        for bound in BOUNDS
        if bound.of(one) > bound.limit
    ]


def table(found: Sequence[Measured]) -> str:
    """In Markdown, a column a size."""
    rows = [
        ["", *(f"{one.clusters:,} CallClusters" for one in found), "bound"],
        ["---"] * (len(found) + 2),
        ["Pods", *(f"{one.pods:,}" for one in found), ""],
    ]
    rows += [
        [
            f"{bound.name}{f' ({bound.unit})' if bound.unit else ''}",
            *(_figure(bound.of(one)) for one in found),
            f"{bound.limit:g}",
        ]
        for bound in BOUNDS
    ]
    rows += [
        ["Rounds a second at rest", *(f"{one.rounds_a_second:.0f}" for one in found), ""],
        ["Watched at rest (s)", *(f"{one.rest:.0f}" for one in found), ""],
        ["Resident memory, highest (MiB)", *(f"{one.peak:.0f}" for one in found), ""],
        ["Processor time of a restart (s)", *(f"{one.restart_cpu:.1f}" for one in found), ""],
        ["Writes of a restart", *(f"{one.writes_after_restart}" for one in found), ""],
        ["Load of the machine", *(f"{one.load:.1f}" for one in found), ""],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"

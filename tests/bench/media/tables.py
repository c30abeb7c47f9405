"""The rows of a bench as tables: median and ends of the rounds, and ratios within each round."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tests.bench.media.scenes import Row

COLUMNS: Mapping[str, Sequence[tuple[str, str, int, float]]] = MappingProxyType(
    {
        "rates": (
            ("forwarded/s", "forwarded_per_second", 0, 1),
            ("CPU us/packet", "cpu_us_per_packet", 2, 1),
            ("lost %", "lost_share", 2, 100),
            ("p50 ms", "delay_p50_ms", 2, 1),
            ("p99 ms", "delay_p99_ms", 2, 1),
            ("client's core %", "client_share", 0, 100),
        ),
        "limit": (
            ("forwarded/s", "forwarded_per_second", 0, 1),
            ("CPU us/packet", "cpu_us_per_packet", 2, 1),
            ("server's core %", "cpu_share", 0, 100),
            ("lost %", "lost_share", 3, 100),
            ("p50 ms", "delay_p50_ms", 2, 1),
            ("p99 ms", "delay_p99_ms", 2, 1),
            ("client's core %", "client_share", 0, 100),
            ("client limits", "client_limits", 0, 1),
        ),
        "calls": (
            ("forwarded/s", "forwarded_per_second", 0, 1),
            ("CPU us/packet", "cpu_us_per_packet", 2, 1),
            ("lost %", "lost_share", 2, 100),
            ("kB each, joined", "kilobytes", 0, 1),
            ("kB each, media", "kilobytes_with_media", 0, 1),
            ("idle us/s each", "idle_us_per_second", 0, 1),
            ("client's core %", "client_share", 0, 100),
        ),
        "joins": (
            ("CPU ms a join", "join_cpu_ms", 2, 1),
            ("all answered ms", "answered_ms", 0, 1),
            ("all connected ms", "connected_ms", 0, 1),
        ),
        "qualities": (
            ("CPU % each", "cpu_percent_each", 3, 1),
            ("kB each", "kilobytes_with_media", 0, 1),
            ("relay's CPU % each", "relay_cpu_percent_each", 3, 1),
            ("relay's kB each", "relay_kilobytes", 0, 1),
            ("lost %", "lost_share", 2, 100),
        ),
        "pods": (
            ("forwarded/s", "forwarded_per_second", 0, 1),
            ("CPU us/packet", "cpu_us_per_packet", 2, 1),
            ("server's core %", "cpu_share", 0, 100),
            ("people at a full core", "people_a_core", 0, 1),
            ("kB each", "kilobytes_with_media", 0, 1),
            ("MB in all", "megabytes", 0, 1),
            ("lost %", "lost_share", 3, 100),
            ("p50 ms", "delay_p50_ms", 2, 1),
            ("p99 ms", "delay_p99_ms", 2, 1),
            ("client's core %", "client_share", 0, 100),
        ),
    }
)
"""Of each scene: heading, figure, digits, and what the figure is multiplied by."""

COMPARED = MappingProxyType(
    {"rates": "cpu_us_per_packet", "calls": "cpu_us_per_packet", "limit": "forwarded_per_second"}
)
OTHERS = ("livekit", "janus")
"""How the names of the servers begin that ours is compared with."""


@dataclass(frozen=True)
class Cell:
    """Values of one figure, a round each."""

    values: Sequence[float]
    digits: int

    def __str__(self) -> str:
        if not self.values:
            return "-"
        low, high = min(self.values), max(self.values)
        middle = f"{statistics.median(self.values):,.{self.digits}f}"
        if len(self.values) == 1:
            return middle
        return f"{middle} ({low:,.{self.digits}f}-{high:,.{self.digits}f})"


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    """Tables, scene by scene, line by line."""
    for scene, columns in COLUMNS.items():
        loads = list(dict.fromkeys(row.load for row in rows if row.scene == scene))
        for load in loads:
            chosen = [row for row in rows if (row.scene, row.load) == (scene, load)]
            yield f"\n{scene}: {load}\n"
            present = [c for c in columns if any(c[1] in row.figures for row in chosen)]
            headings = ["server", *(column[0] for column in present)]
            compared = COMPARED.get(scene)
            if compared:
                headings.append("of the better one's")
            yield f"| {' | '.join(headings)} |"
            yield f"|{'---|' * len(headings)}"
            better = _better(chosen, compared) if compared else []
            for server in dict.fromkeys(row.server for row in chosen):
                mine = [row.figures for row in chosen if row.server == server]
                cells = [
                    str(Cell([f[name] * factor for f in mine if name in f], digits))
                    for _, name, digits, factor in present
                ]
                if compared:
                    values = (f.get(compared) for f in mine)
                    pairs = zip(values, better, strict=False)
                    cells.append(str(Cell([a / b for a, b in pairs if a and b], 2)))
                yield f"| {server} | {' | '.join(cells)} |"


def _better(rows: Sequence[Row], figure: str) -> list[float]:
    """In each round the better one's figure: the cheaper packet, or the higher rate."""
    by_server: dict[str, list[float]] = {}
    for row in rows:
        if row.server.startswith(OTHERS) and figure in row.figures:
            by_server.setdefault(row.server, []).append(row.figures[figure])
    best = max if figure == "forwarded_per_second" else min
    return [best(values) for values in zip(*by_server.values(), strict=False)]

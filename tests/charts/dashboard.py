"""The dashboard's panels and queries, as Grafana would ask them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "charts" / "callfleet" / "files" / "dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
EVERYTHING: Mapping[str, str] = {"namespace": ".+", "cluster": ".+", "pool": ".+"}
"""What Grafana puts in for All."""
QUIET = frozenset(
    {
        "What asks for somebody",
        "Changes of the number of pods",
        "Rejections by reason",
        "ICE failures by cause",
        "Datagrams dropped by cause",
        "Allocate requests by outcome",
        "Errors by cause",
    }
)
"""Panels that may have nothing to show: what they count may never have happened."""


@dataclass(frozen=True, slots=True)
class Query:
    """One target of a panel."""

    panel: str
    expression: str
    """With the variables filled in."""


def panels() -> list[dict[str, Any]]:
    """Those that show something: not the rows."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries(choice: Mapping[str, str] = EVERYTHING) -> Iterator[Query]:
    """Of every panel, for the chosen values of the variables."""
    values = {**choice, "__rate_interval": "1m", "__range": "15m"}
    for panel in panels():
        for target in panel["targets"]:
            expression = re.sub(r"\$([a-z_]\w*)", lambda name: values[name[1]], target["expr"])
            yield Query(panel["title"], expression)

"""The words of `callfleet explain`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from callfleet_operator.cli.views.status import change
from callfleet_operator.cli.views.words import age, moment
from callfleet_operator.status.history import Recorded


def explanation(title: str, one: Recorded, now: datetime) -> RenderableType:
    """One decision: what, when, why, and each stage that led to it."""
    verb = "would have gone" if one.dry_run else "went"
    head = Text(f"{title}: decision {one.number}", style="bold")
    what = (
        f"The plan {verb} from {one.before} to {one.after} open pods at {moment(one.at)} "
        f"({age(one.at, now)} ago)."
    )
    if one.dry_run:
        what += " Mode DryRun: no pod was touched."
    why = Text(f"{one.stage} settled it ({one.reason}): ", style="bold").append(
        one.message, style="not bold"
    )
    return Group(
        head, Text(what), why, Padding(_trace(one), (1, 0, 1, 2)), Text(_READING, style="dim")
    )


_READING: Final = (
    "Numbers are open pods before and after a stage; 4..9 means: at least 4 if pods are added, no "
    "fewer than 9 if pods are given up. * marks the stage that settled the number."
)


def _trace(one: Recorded) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "STAGE", "OPEN", "REASON"):
        table.add_column(name, no_wrap=True)
    table.add_column("WHY", overflow="fold", ratio=1)
    for record in one.trace:
        decisive = record.stage == one.stage and record.reason == one.reason
        style = "bold" if decisive or record.before != record.after else ""
        numbers = f"{record.before} -> {record.after}"
        table.add_row(
            "*" if decisive else "",
            Text(record.stage, style=style),
            Text(numbers, style=style),
            record.reason,
            Text(record.message),
        )
    return table


def listing(decisions: Iterable[Recorded], now: datetime) -> Table:
    """All kept decisions, newest first, a line each."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("DECISION", "TIME", "AGO", "OPEN", "STAGE", "REASON"):
        table.add_column(name, no_wrap=True)
    table.add_column("WHY", overflow="fold", ratio=1)
    for one in decisions:
        table.add_row(
            f"#{one.number}",
            moment(one.at),
            age(one.at, now),
            change(one),
            one.stage,
            one.reason,
            Text(one.message),
        )
    return table

"""The page of `callfleet plan`, and the same for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from callfleet_operator.cli.planning.choices import Assumption
from callfleet_operator.cli.views.figures import (
    Section,
    as_given,
    coarse,
    in_program,
    money,
    percent,
    plain,
)
from callfleet_operator.cli.views.sizing import sections
from callfleet_operator.cli.views.sizing_notes import notes
from callfleet_operator.cli.views.words import count
from callfleet_operator.plan.sizing.size import Beyond, Sizing

Row = Sizing | Beyond


def page(
    sizing: Sizing, assumptions: Sequence[Assumption], rows: Sequence[Row], title: str
) -> RenderableType:
    """Assumptions, figures with their arithmetic, the table by people at a time, notes."""
    blocks: list[RenderableType] = [
        Text(_headline(sizing, title), style="bold"),
        *_titled("Assumptions", _assumptions(assumptions)),
    ]
    for section in sections(sizing):
        blocks += _titled(section.title, _figures(section))
    blocks += [*_scaled(sizing, rows), Text("")]
    blocks += [Text(f"- {note}") for note in notes(sizing)]
    return Group(*blocks)


def for_programs(
    sizing: Sizing, assumptions: Sequence[Assumption], rows: Sequence[Row]
) -> dict[str, Any]:
    """The same figures: numbers, and money as decimal strings; unknown is null."""
    figures: dict[str, Any] = {}
    for section in sections(sizing):
        key, _, name = section.key.partition(".")
        made = {figure.key: figure.for_programs() for figure in section.figures}
        if name:
            figures.setdefault(key, {})[name] = made
        else:
            figures[key] = made
    return {
        "version": 1,
        "assumptions": [
            {
                "name": one.key,
                "value": one.value
                if isinstance(one.value, str)
                else in_program(one.value, money=one.money),
                "unit": one.unit,
                "source": one.source,
            }
            for one in assumptions
        ],
        "figures": figures,
        "byConcurrent": [_row_for_programs(row) for row in rows],
        "notes": list(notes(sizing)),
    }


def _headline(sizing: Sizing, title: str) -> str:
    cost = sizing.cost
    total = "cost unknown" if cost.total is None else f"{money(cost.total)} {cost.currency} a month"
    users = "user" if sizing.load.users == 1 else "users"
    return (
        f"{title}: {sizing.load.users:,.0f} {users}, "
        f"{coarse(sizing.load.concurrent)} in calls at a time: "
        f"{count(sizing.engines.pods, 'engine pod')}, {count(sizing.relays, 'relay')}, "
        f"{percent(sizing.engines.blocking)} of new calls refused, {total}"
    )


def _titled(title: str, table: RenderableType) -> Iterator[RenderableType]:
    yield Text("")
    yield Text(title, style="bold")
    yield Padding(table, (0, 0, 0, 2))


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right")
    return table


def _assumptions(assumptions: Sequence[Assumption]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold", ratio=1, style="dim")
    for one in assumptions:
        value = one.value if isinstance(one.value, str) else as_given(one.value)
        table.add_row(one.label, f"{value} {one.unit}".rstrip(), one.source)
    return table


def _figures(section: Section) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold", ratio=1, style="dim")
    for figure in section.figures:
        bold = "bold" if figure.key in ("pods", "total") else ""
        table.add_row(
            Text(figure.label, style=bold), Text(figure.shown, style=bold), f"= {figure.arithmetic}"
        )
    return table


def _scaled(sizing: Sizing, rows: Sequence[Row]) -> Iterator[RenderableType]:
    target = sizing.inputs.engines.target_percent
    planned = [row for row in rows if isinstance(row, Sizing)]
    yield from _titled("The same habits with more or fewer people", _capacity(planned, target))
    yield Text(f"  AT {target} %: pods for that target alone, and what they refuse.\n", style="dim")
    yield Padding(_money(planned, sizing.cost.currency), (0, 0, 0, 2))
    for row in rows:
        if isinstance(row, Beyond):
            yield Text(f"  No plan for {plain(row.concurrent)} at a time. {row.reason}")


def _capacity(rows: Sequence[Sizing], target: int) -> Table:
    table = _table(
        "AT A TIME", "USERS", "CALLS", "PODS", "REFUSED", f"AT {target} %", "REFUSED", "RELAYS"
    )
    for row in rows:
        table.add_row(
            plain(row.load.concurrent),
            f"{row.load.users:,.0f}",
            coarse(row.load.erlangs),
            plain(row.engines.pods),
            percent(row.engines.blocking),
            plain(row.engines.by_target),
            percent(row.engines.blocking_by_target),
            plain(row.relays),
        )
    return table


def _money(rows: Sequence[Sizing], currency: str) -> Table:
    table = _table("AT A TIME", "MBIT/S OUT", "GB A MONTH", f"{currency} A MONTH", "A USER")
    for row in rows:
        total = row.cost.total
        table.add_row(
            plain(row.load.concurrent),
            coarse(row.bandwidth.engines_out),
            f"{row.cost.egress:,.0f}",
            money(total),
            money(None if total is None else total / row.load.users),
        )
    return table


def _row_for_programs(row: Row) -> dict[str, Any]:
    if isinstance(row, Beyond):
        return {"concurrent": row.concurrent, "beyond": row.reason}
    total = row.cost.total
    return {
        "concurrent": in_program(row.load.concurrent),
        "users": in_program(row.load.users),
        "calls": in_program(row.load.erlangs),
        "pods": row.engines.pods,
        "blockingPerMillion": row.engines.blocking * 1_000_000,
        "podsByTarget": row.engines.by_target,
        "blockingByTargetPerMillion": row.engines.blocking_by_target * 1_000_000,
        "relays": row.relays,
        "megabitsOut": in_program(row.bandwidth.engines_out),
        "egressGigabytes": in_program(row.cost.egress),
        "total": in_program(total, money=True),
        "perUser": in_program(
            None if total is None else (total / row.load.users).quantize(Decimal("0.0001")),
            money=True,
        ),
    }

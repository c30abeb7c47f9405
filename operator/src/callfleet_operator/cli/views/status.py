"""The screen of `callfleet status`, and the same for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from callfleet_operator.cli.views.fleet import ConditionView, FleetView, PodView
from callfleet_operator.cli.views.words import age, bar, count, moment, number, percent
from callfleet_operator.status.history import Recorded

DECISIONS_SHOWN: Final = 3
_STATES: Final = {
    "Open": "green",
    "Starting": "cyan",
    "Failing": "bold red",
    "Draining": "yellow",
    "Sealed": "dim",
    "Ending": "dim",
}
_HIGH: Final = 85.0


def screen(fleets: Sequence[FleetView], now: datetime, *, bars: bool) -> RenderableType:
    """One screen; `bars` draws utilisation, for a terminal."""
    blocks: list[RenderableType] = []
    for place, fleet in enumerate(fleets):
        if place:
            blocks.append(Text(""))
        blocks += _fleet(fleet, now, bars=bars)
    return Group(*blocks)


def _fleet(fleet: FleetView, now: datetime, *, bars: bool) -> Iterable[RenderableType]:
    yield _title(fleet)
    yield from map(_indented, _summary(fleet, bars=bars))
    if fleet.pods:
        yield _block(_pods(fleet, now, bars=bars))
    for condition in fleet.conditions:
        yield _block(_condition(condition, now))
    if fleet.decisions:
        yield _block(_decisions(fleet.decisions[:DECISIONS_SHOWN], now))
    for text in fleet.unknown:
        yield _block(Text(text, style="dim"))


def _title(fleet: FleetView) -> Text:
    title = Text(f"{fleet.kind} {fleet.namespace}/{fleet.name}", style="bold")
    if fleet.mode != "Active":
        title.append(f"  {fleet.mode}", style="bold yellow")
    if fleet.hold_until:
        title.append(f"  held until {fleet.hold_until}", style="bold yellow")
    if fleet.note:
        title.append(f"  ({fleet.note})", style="dim")
    return title


def _summary(fleet: FleetView, *, bars: bool) -> Iterable[Text]:
    if fleet.desired is None:
        yield Text("The operator has not reported anything yet.", style="yellow")
        return
    wanted = f"{number(fleet.open)} open of {number(fleet.desired)} wanted"
    parts = [f"{wanted} ({fleet.minimum} to {fleet.maximum})"]
    if fleet.draining:
        parts.append(f"{fleet.draining} draining")
    if fleet.would_scale_to is not None:
        parts.append(f"Active would steer to {fleet.would_scale_to}")
    yield Text(", ".join(parts))
    load = Text("")
    if bars:
        load.append(bar(fleet.percent), style=_heat(fleet.percent))
        load.append(" ")
    noun = "utilisation" if fleet.kind == "CallCluster" else "saturation"
    load.append(f"{noun} {percent(fleet.percent)}, {fleet.unit} {_about(fleet.used)}")
    if fleet.kind == "TurnPool":
        refused = percent(fleet.failure_percent)
        load.append(f", refused for want of relays {refused} of {number(fleet.attempts)} users")
    yield load


def _about(used: int | None) -> str:
    """Totals in a status are rounded; 0 is exactly that."""
    return f"about {used}" if used else number(used)


def _pods(fleet: FleetView, now: datetime, *, bars: bool) -> Table:
    table = _table()
    heads = (
        "POD",
        "STATE",
        *(("",) if bars else ()),
        "LOAD",
        fleet.unit.upper(),
        "NODE",
        "AGE",
        "",
    )
    for head in heads:
        table.add_column(head)
    for pod in fleet.pods:
        cells: list[RenderableType] = [
            pod.name,
            Text(pod.state, style=_STATES.get(pod.state, "")),
            Text(percent(pod.percent), style=_heat(pod.percent)),
            _carries(fleet, pod),
            pod.node or "-",
            age(pod.created, now),
            _detail(pod, now),
        ]
        if bars:
            cells.insert(2, Text(bar(pod.percent, 10), style=_heat(pod.percent)))
        table.add_row(*cells)
    return table


def _carries(fleet: FleetView, pod: PodView) -> str:
    text = f"{number(pod.used)} of {fleet.capacity}"
    return text if pod.calls is None else f"{text} in {count(pod.calls, 'call')}"


def _detail(pod: PodView, now: datetime) -> str:
    if pod.state == "Draining" and pod.draining_since is not None:
        since = f"for {age(pod.draining_since, now)}"
        return f"{since}: {pod.detail}" if pod.detail else since
    return pod.detail


def _condition(one: ConditionView, now: datetime) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    style = "bold red" if one.warning else "yellow"
    mark = "!" if one.warning else "-"
    head = f"{one.type} {one.status}, {one.reason}, for {age(one.since, now)}"
    table.add_row(Text(mark, style=style), Text(head, style=style))
    table.add_row("", one.message)
    return table


def _decisions(decisions: Iterable[Recorded], now: datetime) -> Table:
    table = _table()
    for head in ("DECISION", "AGO", "OPEN", "REASON"):
        table.add_column(head, no_wrap=True)
    table.add_column("", overflow="fold")
    for one in decisions:
        table.add_row(
            f"#{one.number}", age(one.at, now), change(one), one.reason, Text(one.message)
        )
    return table


def change(one: Recorded) -> str:
    """`2 to 3`, `would go 2 to 3`."""
    return f"{'would go ' if one.dry_run else ''}{one.before} to {one.after}"


def _table(*, header: bool = True) -> Table:
    return Table(
        box=None, show_header=header, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0)
    )


def _indented(one: RenderableType) -> Padding:
    return Padding(one, (0, 0, 0, 2))


def _block(one: RenderableType) -> Padding:
    return Padding(one, (1, 0, 0, 2))


def _heat(value: float | None) -> str:
    if value is None:
        return "dim"
    return "red" if value >= _HIGH else "green"


def for_programs(fleets: Iterable[FleetView]) -> dict[str, Any]:
    """Contract: docs/reference/contracts.md, "Output for programs". What is unknown is null."""
    return {"version": 1, "fleets": [_fleet_for_programs(fleet) for fleet in fleets]}


def _fleet_for_programs(fleet: FleetView) -> dict[str, Any]:
    return {
        "kind": fleet.kind,
        "namespace": fleet.namespace,
        "name": fleet.name,
        "mode": fleet.mode,
        "note": fleet.note,
        "holdUntil": fleet.hold_until or None,
        "replicas": {
            "desired": fleet.desired,
            "open": fleet.open,
            "draining": fleet.draining,
            "min": fleet.minimum,
            "max": fleet.maximum,
        },
        "wouldScaleTo": fleet.would_scale_to,
        fleet.unit: fleet.used,
        "percent": fleet.percent,
        "capacityPerPod": fleet.capacity,
        "pods": [
            {
                "name": pod.name,
                "state": pod.state,
                "used": pod.used,
                "calls": pod.calls,
                "percent": None if pod.percent is None else round(pod.percent, 1),
                "node": pod.node,
                "created": moment(pod.created),
                "drainingSince": moment(pod.draining_since) if pod.draining_since else None,
                "detail": pod.detail,
            }
            for pod in fleet.pods
        ],
        "conditions": [
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": one.message,
                "since": moment(one.since),
                "warning": one.warning,
            }
            for one in fleet.conditions
        ],
        "decisions": [decision_for_programs(one) for one in fleet.decisions],
        "unknown": list(fleet.unknown),
    }


def decision_for_programs(one: Recorded) -> dict[str, Any]:
    """One decision with its whole trace."""
    return {
        "number": one.number,
        "time": moment(one.at),
        "before": one.before,
        "after": one.after,
        "dryRun": one.dry_run,
        "stage": one.stage,
        "reason": one.reason,
        "message": one.message,
        "trace": [
            {
                "stage": record.stage,
                "before": str(record.before),
                "after": str(record.after),
                "reason": record.reason,
                "message": record.message,
            }
            for record in one.trace
        ],
    }

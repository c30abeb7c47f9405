"""What a run came to: the figures, the decisions with their delays, the expectations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table

from tests.demo.load_process import Event
from tests.demo.stage import Expectation
from tests.demo.timeline import Entry, Timeline


@dataclass(frozen=True)
class Scaling:
    """One change of the number of pods."""

    at: datetime
    fleet: str
    before: int
    after: int
    reason: str
    message: str
    seconds_until_open: float | None
    """Until so many pods were open and ready, of a scale-out that got there."""


def scalings(timeline: Timeline) -> list[Scaling]:
    """All changes of the wanted number that the run saw."""
    entries = timeline.of("cluster")
    found: list[Scaling] = []
    for fleet in ("engines", "relays"):
        for position in range(1, len(entries)):
            before, after = entries[position - 1][fleet], entries[position][fleet]
            if before["desired"] == after["desired"]:
                continue
            found.append(
                Scaling(
                    at=datetime.fromisoformat(entries[position]["at"]),
                    fleet=fleet,
                    before=before["desired"],
                    after=after["desired"],
                    reason=after["decision"].get("reason", ""),
                    message=after["decision"].get("message", ""),
                    seconds_until_open=_until_open(entries[position:], fleet, after["desired"])
                    if after["desired"] > before["desired"]
                    else None,
                )
            )
    return sorted(found, key=lambda scaling: scaling.at)


def _until_open(entries: Sequence[Entry], fleet: str, wanted: int) -> float | None:
    start = datetime.fromisoformat(entries[0]["at"])
    for entry in entries:
        if entry[fleet]["desired"] < wanted:
            return None
        usable = [
            pod
            for pod in entry[fleet]["pods"]
            if pod["ready"] and pod["admission"] == "Open" and not pod["terminating"]
        ]
        if len(usable) >= wanted:
            return (datetime.fromisoformat(entry["at"]) - start).total_seconds()
    return None


def print_summary(
    console: Console,
    timeline: Timeline,
    expectations: Sequence[Expectation],
    load_events: Sequence[Event],
    load_report: dict[str, object],
) -> None:
    """Print it for people."""
    console.rule("Summary", align="left")
    calls = {event["call"] for event in load_events if event["event"] == "joined"}
    counts = load_report.get("events", {})
    joined = counts.get("joined", 0) if isinstance(counts, dict) else 0
    console.print(
        f"{len(calls)} calls, {joined} participants, "
        f"{load_report.get('disconnected')} disconnected against their will; "
        f"{load_report.get('packets')} RTP packets received, {load_report.get('missing')} missing",
        highlight=False,
    )
    decisions = Table(title="Scale decisions")
    for column in ("time", "fleet", "from", "to", "open after", "reason", "message"):
        decisions.add_column(column)
    for one in scalings(timeline):
        open_after = "" if one.seconds_until_open is None else f"{one.seconds_until_open:.0f} s"
        decisions.add_row(
            f"{one.at:%H:%M:%S}", one.fleet, str(one.before), str(one.after), open_after,
            one.reason, one.message,
        )  # fmt: skip
    console.print(decisions)
    drains = Table(title="Sequence gaps while a pod drained")
    for column in ("pod", "", "packets", "missing"):
        drains.add_column(column)
    for drain in timeline.of("drain-watched"):
        for pod, packets in drain["packets"].items():
            state = "draining" if pod == drain["pod"] else "open"
            drains.add_row(pod, state, str(packets), str(drain["missing"][pod]))
    console.print(drains)
    for expectation in expectations:
        mark = "met   " if expectation.met else "NOT MET"
        console.print(f"{mark} {expectation.scene}: {expectation.text}", markup=False)
        console.print(f"        {expectation.seen}", markup=False, highlight=False, soft_wrap=True)

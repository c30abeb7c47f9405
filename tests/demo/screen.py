"""What a run shows while it goes on: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.demo.load_process import Event, LoadProcess
from tests.demo.snapshot import Fleet, Snapshot

RECENT = 8


class Screen:
    """Draws the present state; without a terminal it prints a line when something changes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.load: LoadProcess | None = None
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._scene = ""
        self._happened: list[str] = []
        self._last_line = ""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def scene(self, title: str) -> None:
        """A new scene begins."""
        self._scene = title
        self.console.rule(title, align="left")

    def happened(self, text: str) -> None:
        """Something worth a line."""
        if self.console.is_terminal:
            self._happened = [*self._happened, text][-RECENT:]
        else:
            self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    def event(self, event: Event) -> None:
        """An event of the load; only the telling ones get a line."""
        if event["event"] in {"disconnected", "phase-reached", "calls-ended", "command-refused"}:
            details = {k: v for k, v in event.items() if k not in {"at", "event"} and v != ""}
            words = ", ".join(f"{key} {value}" for key, value in details.items())
            self.happened(f"load: {event['event']} {words}")

    def show(self, seen: Snapshot) -> None:
        """The state of both fleets and the load."""
        if self.console.is_terminal:
            self._live.update(self._drawing(seen))
            return
        line = f"{_words('engines', seen.engines)} | {_words('relays', seen.relays)}"
        if line != self._last_line:
            self._last_line = line
            self.console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    def _drawing(self, seen: Snapshot) -> Group:
        table = Table(title=self._scene, expand=True)
        for column in ("", "wanted", "open", "draining", "pods", "figures", "last decision"):
            table.add_column(column)
        for name, fleet in (("engines", seen.engines), ("relays", seen.relays)):
            table.add_row(
                name,
                str(fleet.desired),
                str(fleet.ready_and_open),
                str(fleet.draining),
                "\n".join(
                    f"{pod.name} {pod.admission}{'' if pod.ready else ' (not ready)'}"
                    for pod in fleet.pods
                ),
                _figures(fleet),
                str(fleet.decision.get("message", "")),
            )
        return Group(table, Text(self._people()), *(Text(f"  {t}") for t in self._happened))

    def _people(self) -> str:
        sample = self.load.sample if self.load else {}
        if not sample:
            return ""
        return (
            f"load: {sample['participants']} of {sample['participantsWanted']} participants in "
            f"{len(sample['calls'])} calls, {sample['allocations']} of "
            f"{sample['allocationsWanted']} TURN clients"
        )


def _words(name: str, fleet: Fleet) -> str:
    pods = " ".join(f"{pod.name.rsplit('-', 1)[-1]}:{pod.admission}" for pod in fleet.pods)
    return (
        f"{name}: {fleet.ready_and_open} open of {fleet.desired} wanted [{pods}] {_figures(fleet)}"
    )


def _figures(fleet: Fleet) -> str:
    return ", ".join(f"{key} {value}" for key, value in fleet.figures.items())

"""`python -m tests.soak --minutes 30`: exit code 1 if anything stays or memory grows."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import aioice.ice

from callfleet_engine import logs
from tests.callfleet_engine import engines
from tests.soak.leftovers import Held
from tests.soak.rounds import PEOPLE, soak, soaked

GROWTH_PERCENT = 10
"""Of the memory after a tenth of the time: allocators keep what they had at the busiest moment."""


class Report:
    """One line a round, and the memory at a tenth of the time and at the end."""

    def __init__(self, seconds: float, late: int) -> None:
        self._began = time.monotonic()
        self._seconds = seconds
        self._late = late
        self.settled: int | None = None
        self.latest = 0
        self.rounds = 0

    def go_on(self, _: int) -> bool:
        return time.monotonic() - self._began < self._seconds

    def tell(self, number: int, held: Held) -> None:
        elapsed = time.monotonic() - self._began
        self.rounds, self.latest = number, held.resident_bytes
        if self.settled is None and elapsed > self._seconds / 10:
            self.settled = held.resident_bytes
        objects = sum(held.objects.values())
        tasks = sum(held.tasks.values())
        print(
            f"{elapsed:7.0f} s  {number * PEOPLE:6d} joins  {held.resident_bytes / 2**20:7.1f} MiB"
            f"  {tasks:3d} tasks  {held.sockets:3d} sockets  {objects:6d} objects",
            flush=True,
        )

    def tell_late(self, error: AssertionError) -> None:
        """Raises it if there were more than there may be."""
        if self._late == 0:
            raise error
        self._late -= 1
        print(f"given up: {str(error)[:200]}", flush=True)

    @property
    def growth_percent(self) -> float:
        if self.settled is None:
            return 0.0
        return (self.latest / self.settled - 1) * 100


async def run(minutes: float, pause_seconds: float, late: int) -> int:
    report = Report(minutes * 60, late)
    with tempfile.TemporaryDirectory() as directory:
        async with soaked(Path(directory)) as engine:
            left = await soak(
                engine,
                report.go_on,
                report.tell,
                pause_seconds=pause_seconds,
                tell_late=report.tell_late,
            )
    print(f"{report.rounds * PEOPLE} joins, memory {report.growth_percent:+.1f} %")
    if left:
        print("left over:", left)
    return 1 if left or report.growth_percent > GROWTH_PERCENT else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--pause", type=float, default=0.0, metavar="SECONDS", help="after each call"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=engines.LIMIT_SECONDS,
        metavar="SECONDS",
        help="that the parts of a call may take; more on a slow machine",
    )
    # aiortc's clients leave 127.0.0.1 out; a machine may have no other address.
    aioice.ice.get_host_addresses = lambda *_, **__: ["127.0.0.1"]
    parser.add_argument(
        "--late", type=int, default=0, metavar="N", help="calls that may not end in time"
    )
    parser.add_argument(
        "--log", default="warning", choices=("debug", "info", "warning"), help="level of the log"
    )
    given = parser.parse_args()
    logs.configure(given.log)
    engines.LIMIT_SECONDS = given.limit
    sys.exit(asyncio.run(run(given.minutes, given.pause, given.late)))


if __name__ == "__main__":
    main()

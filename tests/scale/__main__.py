"""`python -m tests.scale`: measures, prints a table and draws docs/scale.svg."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.cluster import choice, prepare
from tests.scale.chart import chart
from tests.scale.fleet import CLUSTERS_A_NAMESPACE, Size
from tests.scale.measurement import Measured, grow, measure, set_up, setting
from tests.scale.table import missed, table

WHOLE = 2000
TICK = 15
DOCS = Path(__file__).parents[2] / "docs"


def main() -> int:
    """Measure each share; returns 1 if the largest one misses a bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--percent", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--rest-seconds", type=int, default=60, help="how long it is watched")
    parser.add_argument("--changes", type=int, default=5, help="CallClusters that are changed")
    parser.add_argument("--patience-seconds", type=float, default=1800, help="for one phase")
    parser.add_argument("--chart", type=Path, default=DOCS / "scale.svg")
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    options = parser.parse_args()
    sizes = [WHOLE * percent // 100 for percent in sorted(options.percent)]
    if any(size % CLUSTERS_A_NAMESPACE for size in sizes[:-1]):
        parser.error(
            f"an operator serves whole namespaces, of {CLUSTERS_A_NAMESPACE} CallClusters each: "
            f"all but the largest --percent have to be multiples of "
            f"{CLUSTERS_A_NAMESPACE * 100 // WHOLE}"
        )
    prepare.require(prepare.API)
    # Ended by a signal, what was started ends with the blocks that started it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = _measured(sizes, options)
    misses = missed(found[-1])
    for miss in misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if misses else 0


def _show(found: list[Measured], options: argparse.Namespace) -> None:
    """After each size: what is measured already outlives an interruption."""
    print(table(found), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    options.chart.write_text(chart(found))


def _measured(sizes: list[int], options: argparse.Namespace) -> list[Measured]:
    choice.remove()
    server = choice.new_api_server(f"scale-{os.getpid()}")
    began = time.monotonic()
    found: list[Measured] = []

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    async def run() -> None:
        async with setting(server, Size(sizes[-1]), say, tick=TICK) as here:
            await grow(here, sizes[-1])
            await set_up(here, options.patience_seconds)
            for clusters in sizes:
                one = await measure(
                    here,
                    clusters,
                    rest_seconds=options.rest_seconds,
                    changes=options.changes,
                    patience=options.patience_seconds,
                )
                found.append(one)
                _show(found, options)

    try:
        server.up(owned=True)
        asyncio.run(run())
    finally:
        server.down()
    return found


if __name__ == "__main__":
    sys.exit(main())

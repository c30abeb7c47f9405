"""How much a relayed packet costs, beside coturn's turnserver in the same run.

`python -m tests.bench.relay` takes about ten minutes and prints two tables: both data planes, and
coturn. Servers run on one core and what loads them on another, by turns, on loopback. `--only`
names the loads:

- udp: ChannelData as fast as the generator can, in bursts of 8 over 16 flows or one by one over
  256. The peer's socket is never read, the kernel counts what arrives.
- stream: ChannelData of 16 clients over TCP and TLS in bursts of 8, from them and to them, at a
  pace and as fast as it goes.
- echo: coturn's own client and echo peer (`turnutils_uclient`, 16 clients), paced; what it costs
  where a core is not full, both directions.
- held: thousands of allocations that carry nothing: how fast they are set up, what memory they
  take, and what it costs to refresh them.

CPU time is the scheduler's accounting of the server's threads. Loopback charges the receiver's
work to the sender, for all servers alike. Ratios are of the runs of one round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tests.bench.relay_loads import Echo, Flood, Held, Result, Stream, hold
from tests.bench.relay_servers import LOAD_CORE, Server, callfleet, coturn

Load = Flood | Stream | Echo
Start = Callable[[Path], AbstractContextManager[Server]]

PAYLOADS = (160, 1200)
PACE = 16_000
HELD_ROUNDS = 2
LOADS: dict[str, list[Load]] = {
    "udp": [Flood(*shape, payload) for shape in ((16, 8), (256, 1)) for payload in PAYLOADS],
    "stream": [
        Stream(transport, payload, to_clients, pace)
        for transport in ("tcp", "tls")
        for to_clients in (False, True)
        for payload in PAYLOADS
        for pace in (PACE, 0)
    ],
    "echo": [Echo(messages=500)],
}
COTURN, NATIVE, PYTHON = coturn, partial(callfleet, "native"), partial(callfleet, "python")


def main() -> None:
    """Measure by turns and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--allocations", type=int, default=10_000, help="that are held")
    parser.add_argument("--only", choices=[*LOADS, "held"], nargs="+", help="these loads")
    parser.add_argument("--match", default="", help="loads whose name has this in it")
    given = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    wanted = given.only or [*LOADS, "held"]
    loads = [load for name in wanted for load in LOADS.get(name, []) if given.match in str(load)]
    if loads:
        print_costs(compare(loads, given.rounds, given.seconds))
    if "held" in wanted:
        for each in range(HELD_ROUNDS):
            print_held(dict(hold_all(given.allocations)), head=not each)


def compare(loads: list[Load], rounds: int, seconds: float) -> dict[tuple[str, str], list[Result]]:
    """Runs by load and server."""
    results: dict[tuple[str, str], list[Result]] = {}
    for _ in range(rounds):
        for load in loads:
            for start in (COTURN, NATIVE, PYTHON) if load.takes_python else (COTURN, NATIVE):
                # A new server each time: coturn remembers the 5-tuples of ended allocations.
                with started(start) as server:
                    run = load.run(server, seconds)
                    results.setdefault((str(load), server.name), []).append(run)
    return results


def hold_all(allocations: int) -> list[tuple[str, Held]]:
    """By server."""
    held = []
    for start in (COTURN, NATIVE, PYTHON):
        with started(start) as server:
            held.append((server.name, hold(server, allocations)))
    return held


@contextmanager
def started(start: Start) -> Iterator[Server]:
    """A server with a directory of its own."""
    with tempfile.TemporaryDirectory() as directory, start(Path(directory)) as server:
        yield server


def print_costs(results: dict[tuple[str, str], list[Result]]) -> None:
    """A line for each load and server, in Markdown."""
    print("| load | server | packets a second | µs of CPU a packet | of coturn |")
    print("|---|---|---|---|---|")
    for (load, server), runs in results.items():
        coturns = results[load, "coturn"]
        ratio = [
            each.cpu_us_per_packet / other.cpu_us_per_packet
            for each, other in zip(runs, coturns, strict=True)
        ]
        rate = spread([run.packets_per_second for run in runs], 0)
        cost = spread([run.cpu_us_per_packet for run in runs], 2)
        print(f"| {load} | {server} | {rate} | {cost} | {spread(ratio, 2)} |", flush=True)


def print_held(held: dict[str, Held], *, head: bool) -> None:
    """A line for each server, in Markdown."""
    if head:
        print(
            "| server | held | set up a second | refused, unanswered | µs to set up one | "
            "resident MiB | KiB each | µs of a Refresh | % of a core, all refreshed |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
    for server, each in held.items():
        print(
            f"| {server} | {each.allocations:,} | {each.set_up_per_second:,.0f} | "
            f"{each.refused}, {each.unanswered} | {each.set_up_cpu_us:.0f} | "
            f"{each.resident_mib:.0f} | {each.bytes_each / 1024:.1f} | "
            f"{each.refresh_cpu_us:.0f} | {each.refresh_core_percent:.2f} |",
            flush=True,
        )


def spread(values: list[float], digits: int) -> str:
    """Median and ends."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


if __name__ == "__main__":
    main()

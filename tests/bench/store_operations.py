"""How long the store's operations take, beside the figures of performance-analysis.md.

    python -m tests.bench.store_operations [--repeat 300] [--connections 10]

Runs on SQLite and on a private PostgreSQL with its default durability (fsync on), both on this
machine: a server elsewhere adds its round trips. Prints Markdown tables.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import click

from callfleet_engine.store import SqlStore, StoreSettings, parse_database_url
from callfleet_engine.store.interface import (
    Admission,
    CallRoute,
    Direction,
    Owner,
    Participant,
    PodBeat,
    QualitySample,
    StoreError,
    TurnProbe,
)
from tests.callfleet_engine.postgresql import private_postgresql

DOCUMENT = {
    "initiate_call": (12, 25),
    "join_call": (10, 20),
    "leave_call": (8, 15),
    "end_call": (15, 30),
    "get_active_call": (5, 10),
    "insert_metrics": (18, 35),
    "update_turn_metrics": (20, 40),
}
"""Mean and 95th percentile in milliseconds."""
T = TypeVar("T")
OWNER = Owner("uid-a", "10.0.0.1")
EVE = Participant("p-1", "eve", "Eve")
BATCH = 100
STARTS = 50
OPERATIONS = 200


@dataclass(frozen=True)
class Crowd:
    """What became of many operations started at once."""

    seconds: float
    failed: int


@dataclass(frozen=True)
class Figures:
    """Of one database: milliseconds by operation, and the two crowds."""

    operations: dict[str, list[float]]
    starts: Crowd
    mixed: Crowd


def sample(route: CallRoute, number: int) -> QualitySample:
    """One of many samples of a call."""
    return QualitySample(
        call_id=route.call_id,
        epoch=route.epoch,
        participant_id="p-1",
        direction=Direction.IN,
        at=datetime.now(UTC) + timedelta(milliseconds=number),
        packets=500,
        packets_lost=1,
        jitter_seconds=0.004,
        round_trip_seconds=0.03,
        bits_per_second=64_000.0,
    )


async def measure(url: str, repeat: int, connections: int) -> Figures:
    """All figures of one database, which must be empty."""
    store = SqlStore(StoreSettings(parse_database_url(url), connections=connections))
    await store.open()
    try:
        return Figures(
            operations=await one_after_another(store, repeat),
            starts=await crowd([_start(store, f"crowd-{n}") for n in range(STARTS)]),
            mixed=await crowd(await mixed_operations(store)),
        )
    finally:
        await store.close()


async def one_after_another(store: SqlStore, repeat: int) -> dict[str, list[float]]:
    """Lives of calls, each operation timed by itself."""
    taken: dict[str, list[float]] = {}

    async def timed(name: str, operation: Awaitable[T]) -> T:
        begun = perf_counter()
        result = await operation
        taken.setdefault(name, []).append((perf_counter() - begun) * 1000)
        return result

    pod = PodBeat("uid-a", "pod", "10.0.0.1", Admission.OPEN, 1, 0, 150, "0.1.0")
    for number in range(repeat + 10):
        if number == 10:
            taken.clear()  # the first rounds fill caches of statements and connections
        room = f"room-{number}"
        call = await timed("initiate_call", store.initiate_call(room, OWNER))
        await timed("join_call", store.join_call(call.call_id, 1, EVE))
        await timed("get_active_call", store.get_active_call(room=room))
        await timed("insert_metrics", store.insert_metrics([sample(call, 0)]))
        many = [sample(call, 1 + n) for n in range(BATCH)]
        await timed(f"insert_metrics, {BATCH} samples", store.insert_metrics(many))
        await timed("update_turn_metrics", store.update_turn_metrics([TurnProbe("turn:a", 0.02)]))
        await timed("take_over", store.take_over(call.call_id, 1, OWNER))
        await timed("leave_call", store.leave_call(call.call_id, 2, "p-1", "left"))
        await timed("end_call", store.end_call(call.call_id, 2, "ended"))
        await timed("heartbeat", store.heartbeat(replace(pod, participants=number)))
        await timed("live_pods", store.live_pods(timedelta(seconds=30)))
    return taken


async def mixed_operations(store: SqlStore) -> list[Callable[[], Awaitable[object]]]:
    """Starts, joins, look-ups and samples on 50 calls, four for each."""
    operations: list[Callable[[], Awaitable[object]]] = []
    for number in range(OPERATIONS // 4):
        call = await store.initiate_call(f"mixed-{number}", OWNER)
        operations += [
            _start(store, f"new-{number}"),
            partial(store.join_call, call.call_id, 1, EVE),
            partial(store.get_active_call, room=call.room),
            partial(store.insert_metrics, [sample(call, 0)]),
        ]
    return operations


async def crowd(operations: list[Callable[[], Awaitable[object]]]) -> Crowd:
    """All at once, until the last one has ended."""
    begun = perf_counter()
    results = await asyncio.gather(*(run() for run in operations), return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    for failure in failed:
        if not isinstance(failure, StoreError):
            raise failure
    return Crowd(perf_counter() - begun, len(failed))


def _start(store: SqlStore, room: str) -> Callable[[], Awaitable[object]]:
    return partial(store.initiate_call, room, OWNER)


def tables(sqlite: Figures, postgresql: Figures) -> str:
    """The figures as Markdown."""
    lines = [
        "| operation | SQLite mean / p95 | PostgreSQL mean / p95 | document mean / p95 |",
        "|---|---|---|---|",
    ]
    for name, taken in sqlite.operations.items():
        known = DOCUMENT.get(name)
        theirs = f"{known[0]} / {known[1]} ms" if known else "-"
        ours = " | ".join(_summary(values) for values in (taken, postgresql.operations[name]))
        lines.append(f"| `{name}` | {ours} | {theirs} |")
    lines += ["", "| at once | SQLite | PostgreSQL | document |", "|---|---|---|---|"]
    for what, count, crowds, theirs in (
        ("calls started", STARTS, (sqlite.starts, postgresql.starts), "3200 ms, 100 %"),
        ("operations", OPERATIONS, (sqlite.mixed, postgresql.mixed), "94.5 %, 11 timeouts"),
    ):
        outcomes = " | ".join(_outcome(crowd, count) for crowd in crowds)
        lines.append(f"| {count} {what} | {outcomes} | {theirs} |")
    return "\n".join(lines)


def _summary(milliseconds: list[float]) -> str:
    p95 = statistics.quantiles(milliseconds, n=20)[18]
    return f"{statistics.mean(milliseconds):.1f} / {p95:.1f} ms"


def _outcome(crowd: Crowd, total: int) -> str:
    return f"{crowd.seconds * 1000:.0f} ms, {100 * (total - crowd.failed) / total:.1f} %"


@click.command(help=__doc__)
@click.option("--repeat", default=300, show_default=True, type=click.IntRange(20, 100_000))
@click.option("--connections", default=10, show_default=True, type=click.IntRange(1, 100))
def main(repeat: int, connections: int) -> None:
    """Measure both databases, one after the other."""
    click.echo(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'calls.db'}"
        sqlite = asyncio.run(measure(url, repeat, connections))
    with private_postgresql() as server:
        postgresql = asyncio.run(measure(server.new_database(), repeat, connections))
    click.echo(tables(sqlite, postgresql))


if __name__ == "__main__":
    main()

"""Hourly work on the database: abandoned calls, roll-up of samples, retention.

Samples are kept one by one for an hour or two, then as one row an hour. Calls, their participants
and their hourly figures are kept for the retention. Each task is done in rounds of bounded size,
every round a short transaction of its own that sees one state of the database throughout.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_engine.store.schema import (
    ago,
    calls,
    hour_of,
    insert_into,
    now,
    pods,
    quality_hours,
    quality_samples,
    turn_hours,
)

MAINTENANCE_LOCK: Final = 0x43616C6C_6D61696E
"""Key of PostgreSQL's advisory lock."""
ROUND: Final = 100
"""Most calls handled by one transaction."""
MOST_ROUNDS: Final = 200
"""What is left after these is the next hour's."""
SAMPLES_KEPT: Final = timedelta(hours=1)
"""After the end of their hour."""
ABANDONED_AFTER: Final = timedelta(days=1)
"""Long, so that no outage of the database makes living owners look dead on its return."""
PODS_KEPT: Final = timedelta(days=2)

Task = Callable[[AsyncConnection, timedelta], Awaitable[int]]


async def has_lock(connection: AsyncConnection) -> bool:
    """Whether this transaction is the one that does the maintenance."""
    if connection.dialect.name == "sqlite":
        return True  # BEGIN IMMEDIATE lets in one at a time
    return bool(await connection.scalar(select(func.pg_try_advisory_xact_lock(MAINTENANCE_LOCK))))


async def end_abandoned_calls(connection: AsyncConnection, _: timedelta) -> int:
    """End calls whose owner is silent; the new epoch shuts it out should it come back."""
    silence = ago(ABANDONED_AFTER.total_seconds())
    owner_lives = (
        select(pods.c.uid).where(pods.c.uid == calls.c.owner_uid, pods.c.at > silence).exists()
    )
    abandoned = (
        select(calls.c.call_id)
        .where(calls.c.ended_at.is_(None), calls.c.started_at < silence, ~owner_lives)
        .limit(ROUND)
    )
    ended = await connection.execute(
        update(calls)
        .where(calls.c.call_id.in_(abandoned))
        .values(ended_at=now(), end_reason="abandoned", epoch=calls.c.epoch + 1)
    )
    return ended.rowcount


async def roll_up(connection: AsyncConnection, _: timedelta) -> int:
    """Turn the samples of whole hours into one row each for participant and direction."""
    until = await connection.scalar(select(hour_of(ago(SAMPLES_KEPT.total_seconds()))))
    due = quality_samples.c.at < until
    sampled = select(quality_samples.c.call_id).where(due).distinct().limit(ROUND)
    call_ids = (await connection.scalars(sampled)).all()
    in_round = quality_samples.c.call_id.in_(call_ids)
    insert = insert_into(quality_hours, connection.dialect)
    sums = _hourly_sums(until).where(in_round)
    await connection.execute(
        insert.from_select([column.name for column in sums.selected_columns], sums)
        # Samples of an hour may come late, from a pod that could not reach the database.
        .on_conflict_do_update(
            index_elements=list(quality_hours.primary_key),
            set_={
                column.name: _merged(column, insert.excluded[column.name])
                for column in quality_hours.columns
                if not column.primary_key
            },
        )
    )
    await connection.execute(delete(quality_samples).where(due, in_round))
    return len(call_ids)


def _hourly_sums(until: datetime | None) -> Select[Any]:
    sample = quality_samples.c
    keys = (sample.call_id, sample.participant_id, sample.direction, hour_of(sample.at))
    sums: list[ColumnElement[Any]] = [
        func.count().label("samples"),
        func.sum(sample.packets).label("packets"),
        func.sum(sample.packets_lost).label("packets_lost"),
    ]
    for column in (sample.jitter_seconds, sample.round_trip_seconds, sample.bits_per_second):
        sums += [
            func.coalesce(func.sum(column), 0.0).label(f"{column.name}_sum"),
            func.count(column).label(f"{column.name}_count"),
            func.max(column).label(f"{column.name}_max"),
        ]
    return select(*keys[:3], keys[3].label("hour"), *sums).where(sample.at < until).group_by(*keys)


def _merged(present: ColumnElement[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    name = getattr(present, "name", "")
    return greater(present, new) if name.endswith("_max") else present + new


def greater(first: ColumnElement[Any], second: ColumnElement[Any]) -> ColumnElement[Any]:
    """The greater of two; if one is not known, the other."""
    return case((first.is_(None), second), (second > first, second), else_=first)


async def delete_calls(connection: AsyncConnection, retention: timedelta) -> int:
    """Delete ended calls past their retention, with all that belongs to them."""
    old = (
        select(calls.c.call_id)
        .where(calls.c.ended_at < ago(retention.total_seconds()))
        .limit(ROUND)
    )
    return (await connection.execute(delete(calls).where(calls.c.call_id.in_(old)))).rowcount


async def delete_pods(connection: AsyncConnection, _: timedelta) -> int:
    """Forget pods that are long gone."""
    gone = pods.c.at < ago(PODS_KEPT.total_seconds())
    return (await connection.execute(delete(pods).where(gone))).rowcount


async def delete_turn_hours(connection: AsyncConnection, retention: timedelta) -> int:
    """Forget old figures of relays."""
    old = turn_hours.c.hour < ago(retention.total_seconds())
    return (await connection.execute(delete(turn_hours).where(old))).rowcount


TASKS: Final[dict[str, Task]] = {
    "calls_abandoned": end_abandoned_calls,
    "calls_rolled_up": roll_up,
    "calls_deleted": delete_calls,
    "pods_deleted": delete_pods,
    "turn_hours_deleted": delete_turn_hours,
}
"""In their order; named as in `interface.Maintenance`."""

"""Roll-up, retention and abandoned calls; the clock is moved by moving the rows' times back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_engine.store import SqlStore, maintenance
from callfleet_engine.store.interface import Maintenance, MetricsWritten, StaleOwner, TurnProbe
from callfleet_engine.store.schema import (
    ago,
    calls,
    participants,
    pods,
    quality_hours,
    quality_samples,
    turn_hours,
)

from .conftest import ADA, rows
from .test_sql_store import BEAT, EVE, sample

NOTHING = Maintenance(
    calls_abandoned=0, calls_rolled_up=0, calls_deleted=0, pods_deleted=0, turn_hours_deleted=0
)
HOUR = datetime(2026, 1, 2, 3, tzinfo=UTC)


async def change(store: SqlStore, statement: object) -> None:
    async with store._database.transactions.begin() as connection:
        assert isinstance(connection, AsyncConnection)
        await connection.execute(statement)  # type: ignore[call-overload]  # any statement


async def test_an_empty_database_needs_nothing(store: SqlStore) -> None:
    assert await store.maintain() == NOTHING


async def test_samples_of_past_hours_become_one_row_an_hour(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    times = [HOUR, HOUR + timedelta(minutes=59, seconds=59.999), HOUR + timedelta(hours=1)]
    known = [sample(call.call_id, at=at, jitter_seconds=0.25) for at in times]
    unknown = sample(call.call_id, at=HOUR + timedelta(minutes=1), round_trip_seconds=None)
    recent = sample(call.call_id, at=datetime.now(UTC))
    assert (await store.insert_metrics([*known, unknown, recent])).written == 5

    assert await store.maintain() == replace(NOTHING, calls_rolled_up=1)
    assert await store.maintain() == NOTHING

    first, second = await rows(store, select(quality_hours).order_by(quality_hours.c.hour))
    assert (first.hour, first.samples, first.packets, first.packets_lost) == (HOUR, 3, 1500, -6)
    assert (first.jitter_seconds_sum, first.jitter_seconds_count) == (0.5, 2)
    assert first.jitter_seconds_max == 0.25
    assert (first.round_trip_seconds_count, first.round_trip_seconds_max) == (2, 0.025)
    assert (second.hour, second.samples) == (HOUR + timedelta(hours=1), 1)
    (kept,) = await rows(store, select(quality_samples))
    assert kept.at > HOUR + timedelta(days=1)


async def test_late_samples_are_added_to_their_hour(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.insert_metrics([sample(call.call_id, at=HOUR)])
    await store.maintain()
    late = sample(call.call_id, at=HOUR + timedelta(minutes=5), jitter_seconds=0.5)
    await store.insert_metrics([late])
    await store.maintain()

    (row,) = await rows(store, select(quality_hours))

    assert (row.samples, row.packets) == (2, 1000)
    assert (row.jitter_seconds_sum, row.jitter_seconds_count, row.jitter_seconds_max) == (
        0.5,
        1,
        0.5,
    )


async def test_ended_calls_go_with_all_that_is_theirs_after_the_retention(store: SqlStore) -> None:
    old = await store.initiate_call("old", ADA)
    await store.join_call(old.call_id, 1, EVE)
    await store.insert_metrics([sample(old.call_id)])
    await store.end_call(old.call_id, 1, "ended")
    young = await store.initiate_call("young", ADA)
    await store.end_call(young.call_id, 1, "ended")
    await store.initiate_call("active", ADA)
    at = ago(timedelta(days=30, seconds=1).total_seconds())
    await change(store, update(calls).where(calls.c.room == "old").values(ended_at=at))
    await store.update_turn_metrics([TurnProbe("turn:x", None)])
    await change(store, update(turn_hours).values(hour=at))

    done = await store.maintain()

    assert done == replace(NOTHING, calls_rolled_up=1, calls_deleted=1, turn_hours_deleted=1)
    assert {row.room for row in await rows(store, select(calls))} == {"young", "active"}
    for table in (participants, quality_hours, quality_samples, turn_hours):
        assert await rows(store, select(table)) == []
    assert await store.insert_metrics([sample(old.call_id)]) == MetricsWritten(0, 1)


async def test_a_call_whose_owner_is_long_silent_is_ended(store: SqlStore) -> None:
    abandoned = await store.initiate_call("abandoned", ADA)
    await store.initiate_call("alive", replace(ADA, uid="uid-b"))
    await store.heartbeat(BEAT)
    await store.heartbeat(replace(BEAT, uid="uid-b"))
    long_ago = ago(timedelta(days=1, seconds=1).total_seconds())
    await change(store, update(calls).values(started_at=long_ago))
    assert await store.maintain() == NOTHING
    await change(store, update(pods).where(pods.c.uid == ADA.uid).values(at=long_ago))

    assert await store.maintain() == replace(NOTHING, calls_abandoned=1)

    assert await store.get_active_call(room="abandoned") is None
    assert await store.get_active_call(room="alive") is not None
    with pytest.raises(StaleOwner):
        await store.join_call(abandoned.call_id, abandoned.epoch, EVE)


async def test_pods_that_are_long_gone_are_forgotten(store: SqlStore) -> None:
    await store.heartbeat(BEAT)
    await change(store, update(pods).values(at=ago(timedelta(days=2, seconds=1).total_seconds())))

    assert await store.maintain() == replace(NOTHING, pods_deleted=1)


async def test_much_work_is_done_in_rounds(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "ROUND", 2)
    for number in range(5):
        call = await store.initiate_call(f"room-{number}", ADA)
        await store.insert_metrics([sample(call.call_id)])

    assert await store.maintain() == replace(NOTHING, calls_rolled_up=5)
    monkeypatch.setattr(maintenance, "MOST_ROUNDS", 2)
    long_ago = ago(timedelta(days=1, seconds=1).total_seconds())
    await change(store, update(calls).values(started_at=long_ago))
    assert await store.maintain() == replace(NOTHING, calls_abandoned=4)

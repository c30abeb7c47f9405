"""Samples on their way to the store: written in batches, kept through an outage, bounded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from callfleet_engine.store import BufferedSamples, SqlStore
from callfleet_engine.store.interface import (
    InvalidValue,
    MetricsWritten,
    QualitySample,
    StoreFault,
    StoreUnavailable,
)
from callfleet_engine.store.schema import quality_samples

from .conftest import ADA, rows
from .test_sql_store import sample


class Database:
    """What samples are written to; can be away, and can be waited for."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.sizes: list[int] = []
        self.failure: Exception | None = None
        self.tried = asyncio.Event()

    async def write(self, batch: Sequence[QualitySample]) -> MetricsWritten:
        self.tried.set()
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.sizes.append(len(batch))
        self.written += [sample.packets for sample in batch]
        return MetricsWritten(written=len(batch), refused=0)


AWAY = StoreUnavailable("It is away.", "Wait.")


def numbered(number: int) -> QualitySample:
    return sample("call", 1, packets=number)


async def test_samples_reach_the_database(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    async with BufferedSamples(store.insert_metrics) as samples:
        samples.add(sample(call.call_id))
        samples.add(replace(sample(call.call_id), epoch=2))
        assert samples.backlog == 2
        await samples.flush()

    assert (samples.backlog, samples.dropped, samples.refused) == (0, 0, 1)
    assert len(await rows(store, select(quality_samples))) == 1


async def test_a_full_batch_is_written_at_once() -> None:
    database = Database()
    async with BufferedSamples(database.write, flush_seconds=3600, batch=3) as samples:
        for number in range(7):
            samples.add(numbered(number))
        async with asyncio.timeout(10):
            await database.tried.wait()

    assert database.written == list(range(7))
    assert database.sizes == [3, 3, 1]


async def test_a_batch_that_is_not_full_is_written_after_a_while() -> None:
    database = Database()
    async with BufferedSamples(database.write, flush_seconds=0.01) as samples:
        samples.add(numbered(1))
        async with asyncio.timeout(10):
            await database.tried.wait()
        assert database.sizes in ([], [1])

    assert database.written == [1]


async def test_samples_wait_through_an_outage_in_order(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    samples = BufferedSamples(database.write, batch=2, capacity=10)
    database.failure = AWAY
    for number in range(5):
        samples.add(numbered(number))
        assert not await samples.flush()
    assert samples.backlog == 5
    database.failure = None
    with caplog.at_level(logging.INFO):
        assert await samples.flush()

    assert database.written == [0, 1, 2, 3, 4]
    assert samples.backlog == samples.dropped == 0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_the_oldest_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    samples = BufferedSamples(database.write, batch=2, capacity=4)
    for number in range(9):
        samples.add(numbered(number))
    assert (samples.backlog, samples.dropped) == (4, 5)
    await samples.flush()

    assert database.written == [5, 6, 7, 8]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_samples_that_come_while_a_batch_is_under_way_keep_the_bound() -> None:
    database = Database()
    samples = BufferedSamples(database.write, batch=3, capacity=4)
    for number in range(3):
        samples.add(numbered(number))
    database.failure = AWAY
    flushing = asyncio.create_task(samples.flush())
    await database.tried.wait()
    for number in range(3, 6):
        samples.add(numbered(number))
        assert samples.backlog <= 4
    assert not await flushing
    database.failure = None
    await samples.flush()

    assert (samples.dropped, len(database.written)) == (2, 4)
    assert database.written == sorted(database.written)


async def test_a_batch_the_store_cannot_take_does_not_hold_up_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database()
    database.failure = StoreFault("No.", "Report it.")
    async with BufferedSamples(database.write, flush_seconds=3600, batch=1) as samples:
        samples.add(numbered(1))
        async with asyncio.timeout(10):
            while not samples.dropped:
                await database.tried.wait()
                await asyncio.sleep(0)
        database.failure = None
        samples.add(numbered(2))

    assert database.written == [2]
    assert samples.dropped == 1
    assert "A batch of quality samples is lost" in caplog.text


async def test_leaving_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    database.failure = AWAY
    async with BufferedSamples(database.write) as samples:
        samples.add(numbered(1))

    assert "1 quality samples are lost with this process" in caplog.text


async def test_a_bad_sample_is_refused_where_it_comes_from() -> None:
    samples = BufferedSamples(Database().write)
    with pytest.raises(InvalidValue):
        samples.add(sample("call", 1, jitter_seconds=float("nan")))
    assert samples.backlog == 0

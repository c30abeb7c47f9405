"""Records on their way to a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callfleet_engine.calls import journal as subject
from callfleet_engine.calls.journal import Journal
from callfleet_engine.store import SqlStore, StoreSettings, parse_database_url
from callfleet_engine.store.interface import CallRoute, Owner, Participant

ADA, BOB = Owner("uid-a", "10.0.0.1"), Owner("uid-b", "10.0.0.2")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(StoreSettings(parse_database_url(f"sqlite:///{tmp_path}/calls.db")))
    await opened.open()
    yield opened
    await opened.close()


@asynccontextmanager
async def writing(store: SqlStore, lost: list[CallRoute]) -> AsyncIterator[Journal]:
    journal = Journal(store, lost.append)
    writer = asyncio.create_task(journal.run())
    yield journal
    writer.cancel()
    await asyncio.wait({writer})


async def test_a_call_from_first_to_last(store: SqlStore) -> None:
    route = await store.initiate_call("room", ADA)
    lost: list[CallRoute] = []
    async with writing(store, lost) as journal:
        journal.joined(route, Participant("p1", "ada", "Ada"))
        journal.left(route, "p1", "left")
        journal.ended(route, "left")
        assert journal.backlog == 3
        assert await journal.flush(10)
    assert (journal.backlog, journal.dropped, lost) == (0, 0, [])
    assert await store.get_active_call(room="room") is None


async def test_a_call_that_was_taken_over_is_lost(store: SqlStore) -> None:
    route = await store.initiate_call("room", ADA)
    await store.take_over(route.call_id, route.epoch, BOB)
    lost: list[CallRoute] = []
    async with writing(store, lost) as journal:
        journal.joined(route, Participant("p1", "ada", "Ada"))
        assert await journal.flush(10)
    assert lost == [route]


async def test_a_record_that_cannot_be_written_holds_up_no_other(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "RETRY_SECONDS", 0)
    route = await store.initiate_call("room", ADA)
    async with writing(store, []) as journal:
        journal.joined(route, Participant("x" * 1000, "ada", "Ada"))
        journal.ended(route, "left")
        assert await journal.flush(10)
    assert journal.dropped == 1
    assert await store.get_active_call(room="room") is None


async def test_the_backlog_is_bounded(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_RECORDS", 2)
    route = await store.initiate_call("room", ADA)
    journal = Journal(store, lambda _: None)
    for number in range(3):
        journal.left(route, f"p{number}", "left")
    assert (journal.backlog, journal.dropped) == (2, 1)
    assert not await journal.flush(0.01)

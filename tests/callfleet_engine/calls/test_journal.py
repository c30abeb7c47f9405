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
from callfleet_engine.store.interface import CallRoute, Observer, Owner, Participant

ADA, BOB = Owner("uid-a", "10.0.0.1"), Owner("uid-b", "10.0.0.2")


@asynccontextmanager
async def opened(folder: Path, observe: Observer | None = None) -> AsyncIterator[SqlStore]:
    url = f"sqlite:///{folder}/calls.db"
    store = SqlStore(StoreSettings(parse_database_url(url)), observe)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with opened(tmp_path) as store:
        yield store


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


async def test_those_who_come_together_are_recorded_together(tmp_path: Path) -> None:
    operations: list[str] = []
    async with opened(tmp_path, lambda operation, _: operations.append(operation)) as store:
        routes = [await store.initiate_call(f"room-{number}", ADA) for number in range(3)]
        taken = await store.take_over(routes[1].call_id, routes[1].epoch, BOB)
        await store.end_call(routes[2].call_id, routes[2].epoch, "left")
        lost: list[CallRoute] = []
        async with writing(store, lost) as journal:
            journal.joined(routes[1], Participant("late", "eve", ""))
            for number in range(50):
                journal.joined(routes[0], Participant(f"p{number:02}", "ada", "Ada"))
            journal.joined(routes[0], Participant("p00", "ada", "Ada"))
            journal.joined(routes[2], Participant("later", "eve", ""))
            journal.joined(routes[0], Participant("x" * 1000, "eve", ""))
            journal.left(routes[0], "p07", "left")
            assert await journal.flush(30)
        present = [p.participant_id for p in await store.present_participants(routes[0].call_id)]
        assert sorted(present) == [f"p{number:02}" for number in range(50) if number != 7]
        assert await store.present_participants(routes[1].call_id) == ()
        assert (lost, taken.owner_uid) == ([routes[1]], BOB.uid)
    assert operations.count("join_calls") <= 3
    assert operations.count("join_call") <= 3


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

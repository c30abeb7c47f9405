"""How often the store crosses to SQLite's thread, and that what is given up leaves nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from callfleet_engine.store import SqlStore, StoreSettings, parse_database_url
from callfleet_engine.store.interface import Joining, Participant
from callfleet_engine.store.sqlite_connection import SqliteConnection, connecting
from tests.callfleet_engine.store.conftest import ADA


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
async def connection(file: Path) -> AsyncIterator[SqliteConnection]:
    opened = connecting(file, 1.0)
    async with opened:
        await opened.cursor().execute("CREATE TABLE people (name TEXT)")
        yield opened


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(StoreSettings(parse_database_url(f"sqlite:///{file}")))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def crossings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each thing that SQLite's threads were asked to do."""
    found: list[object] = []
    execute = SqliteConnection._execute

    async def counted(self: SqliteConnection, function: Callable[[], object]) -> object:
        found.append(function)
        result: object = await execute(self, function)  # type: ignore[no-untyped-call]
        return result

    monkeypatch.setattr(SqliteConnection, "_execute", counted)
    return found


async def test_rows_come_with_their_statement(
    connection: SqliteConnection, crossings: list[object]
) -> None:
    cursor = connection.cursor()
    await cursor.executemany("INSERT INTO people VALUES (?)", [("Ada",), ("Bob",)])
    await connection.commit()
    assert cursor.rowcount == 2
    del crossings[:]
    await cursor.execute("SELECT name FROM people ORDER BY name")
    assert await cursor.fetchall() == [("Ada",), ("Bob",)]
    assert await cursor.fetchall() == []
    await cursor.close()
    await connection.rollback()
    assert len(crossings) == 1


async def test_what_joins_need_crosses_little(store: SqlStore, crossings: list[object]) -> None:
    await store.get_active_call(room="stage")  # the reader connects
    del crossings[:]
    await store.get_active_call(room="stage")
    assert len(crossings) == 1
    call = await store.initiate_call("stage", ADA)
    assert len(crossings) == 2
    people = [Participant(f"p{i}", "ada", "Ada") for i in range(3)]
    await store.join_calls([Joining(call.call_id, call.epoch, one) for one in people])
    assert len(crossings) == 6  # begin, whose calls they are, the rows, commit
    assert len(await store.present_participants(call.call_id)) == 3


async def test_a_statement_that_is_given_up_leaves_no_transaction(
    connection: SqliteConnection,
) -> None:
    busy = threading.Event()
    connection._tx.put_nowait((None, busy.wait))
    begin = asyncio.create_task(connection.cursor().execute("BEGIN IMMEDIATE"))
    await asyncio.sleep(0)
    begin.cancel()
    rollback = asyncio.create_task(connection.rollback())
    await asyncio.sleep(0)
    busy.set()
    await rollback
    await connection.cursor().execute("SELECT name FROM people")
    assert not connection.in_transaction


async def test_a_statement_that_fails_is_rolled_back(connection: SqliteConnection) -> None:
    await connection.cursor().execute("BEGIN IMMEDIATE")
    with pytest.raises(Exception, match="no such table"):
        await connection.cursor().execute("INSERT INTO nobody VALUES (1)")
    await connection.rollback()
    assert not connection.in_transaction

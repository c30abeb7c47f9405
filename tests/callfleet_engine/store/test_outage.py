"""A database that is away, refuses, or hangs: clear errors in time, and recovery by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from callfleet_engine.store import SqlStore, StoreSettings, parse_database_url
from callfleet_engine.store.interface import InvalidDatabaseUrl, StoreUnavailable
from tests.callfleet_engine.postgresql import PrivatePostgresql, private_postgresql

from .conftest import ADA
from .test_sql_store import BEAT

SOON = timedelta(seconds=2)


def on(url: str, **bounds: timedelta) -> SqlStore:
    return SqlStore(StoreSettings(parse_database_url(url), **bounds))  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[PrivatePostgresql]:
    """A server that the test may stop."""
    with private_postgresql("fsync=off") as server:
        yield server


@pytest.fixture
async def store(server: PrivatePostgresql) -> AsyncIterator[SqlStore]:
    store = on(server.new_database(), connect_timeout=SOON, operation_timeout=SOON)
    await store.open()
    yield store
    await store.close()


@pytest.mark.peer
async def test_a_server_that_stops_and_starts(server: PrivatePostgresql, store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await asyncio.gather(*(store.heartbeat(BEAT) for _ in range(10)))
    server.stop()

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}/calls_.*network"):
            await store.heartbeat(BEAT)
    server.start()

    await asyncio.gather(*(store.heartbeat(BEAT) for _ in range(10)))
    assert await store.get_active_call(room="demo") == call


@pytest.mark.peer
async def test_a_restart_between_two_operations_is_not_noticed(
    server: PrivatePostgresql, store: SqlStore
) -> None:
    await asyncio.gather(*(store.heartbeat(BEAT) for _ in range(10)))
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)

    await asyncio.gather(*(store.heartbeat(BEAT) for _ in range(10)))


@pytest.mark.peer
async def test_a_server_that_hangs(server: PrivatePostgresql, store: SqlStore) -> None:
    await asyncio.gather(*(store.heartbeat(BEAT) for _ in range(5)))
    with server.frozen():
        async with asyncio.timeout(20):
            results = await asyncio.gather(
                *(store.heartbeat(BEAT) for _ in range(20)), return_exceptions=True
            )
    assert {type(result) for result in results} == {StoreUnavailable}

    await asyncio.gather(*(store.heartbeat(BEAT) for _ in range(20)))


@pytest.mark.peer
async def test_a_store_that_could_not_open_opens_later(server: PrivatePostgresql) -> None:
    store = on(server.new_database(), connect_timeout=SOON)
    server.stop()
    with pytest.raises(StoreUnavailable):
        await store.open()
    server.start()

    await store.open()

    assert (await store.initiate_call("demo", ADA)).epoch == 1
    await store.close()


@pytest.mark.peer
async def test_what_is_wrong_is_said_without_the_password(
    postgresql_server: PrivatePostgresql, caplog: pytest.LogCaptureFixture
) -> None:
    port = postgresql_server.port
    at = f"127.0.0.1:{port}"
    for url, says in (
        (f"postgresql://callfleet:hunter2@{at}/nowhere", "no such database.*createdb"),
        (f"postgresql://stranger:hunter2@{at}/postgres", "user name or password.*Secret"),
        ("postgresql://callfleet:hunter2@127.0.0.1:1/postgres", "cannot be reached.*Check that"),
        (f"postgresql://callfleet:hunter2@{at}/postgres?frobnicate=1", "a setting.*PostgreSQL 14"),
        (
            f"postgresql://callfleet:hunter2@{at}/postgres?sslmode=require",
            "cannot be reached.*rejected SSL",
        ),
    ):
        store = on(url)
        with pytest.raises(StoreUnavailable, match=says) as failure:
            await store.open()
        assert "hunter2" not in f"{failure.value!r} {failure.value.__cause__!r} {caplog.text}"
        await store.close()
    with pytest.raises(InvalidDatabaseUrl, match="libpq's: sslmode"):
        await on(f"postgresql://callfleet:hunter2@{at}/postgres?sslmode=hunter2").open()


@pytest.mark.peer
async def test_connections_run_out(postgresql_server: PrivatePostgresql) -> None:
    url = postgresql_server.new_database()
    settings = StoreSettings(parse_database_url(url), connections=1, operation_timeout=SOON)
    store = SqlStore(settings)
    await store.open()
    async with store._database.transactions.connect():
        with pytest.raises(StoreUnavailable, match=r"busy for too long|in time"):
            await store.heartbeat(BEAT)

    await store.heartbeat(BEAT)
    await store.close()


async def test_a_file_in_no_directory(tmp_path: Path) -> None:
    store = on(f"sqlite:///{tmp_path}/none/calls.db")
    with pytest.raises(StoreUnavailable, match=r"none/calls.db cannot be opened.*must exist"):
        await store.open()
    await store.close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_text("a diary" * 1000)
    store = on(f"sqlite:///{tmp_path}/calls.db")
    with pytest.raises(StoreUnavailable, match=r"is no SQLite database.*Move it away"):
        await store.open()
    await store.close()


async def test_a_file_that_another_program_has_locked(tmp_path: Path) -> None:
    store = on(f"sqlite:///{tmp_path}/calls.db", operation_timeout=timedelta(seconds=0.3))
    await store.open()
    other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"locked|in time"):
        await store.heartbeat(BEAT)
    other.execute("COMMIT")
    other.close()

    await store.heartbeat(BEAT)
    await store.close()


async def test_a_cancelled_operation_leaves_the_store_in_order(tmp_path: Path) -> None:
    store = on(f"sqlite:///{tmp_path}/calls.db")
    await store.open()
    for turns in range(30):
        task = asyncio.create_task(store.initiate_call(f"room-{turns}", ADA))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    assert (await store.initiate_call("demo", ADA)).epoch == 1
    await store.close()


def test_closing_twice_is_fine_and_leaves_no_journal(tmp_path: Path) -> None:
    async def open_and_close() -> None:
        store = on(f"sqlite:///{tmp_path}/calls.db")
        await store.open()
        await store.close()
        await store.close()

    asyncio.run(open_and_close())

    assert [path.name for path in tmp_path.iterdir()] == ["calls.db"]

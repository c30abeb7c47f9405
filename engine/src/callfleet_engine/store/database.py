"""Connections to the two databases, each with its bounds set, and nothing of their meaning."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from callfleet_engine.store.settings import Location, PostgresqlServer, SqliteFile, StoreSettings
from callfleet_engine.store.sqlite_connection import connecting

SQLITE_READERS: Final = 4
IDLE_SECONDS: Final = 60
_SINGLE: Final = "callfleet_single_statement"


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the database for each kind of work."""

    transactions: AsyncEngine
    """Several statements, or a write."""
    statements: AsyncEngine
    """One statement that writes; where it can be, without a transaction's extra round trips."""
    reads: AsyncEngine
    snapshots: AsyncEngine
    """Several statements that see one state of the database."""

    async def dispose(self) -> None:
        """Close all connections; they come back with the next use."""
        for engine in (self.transactions, self.reads):
            await engine.dispose()


def connect_to(settings: StoreSettings) -> Database:
    """Prepare for the database of the settings; nothing connects yet."""
    if isinstance(settings.location, SqliteFile):
        return _sqlite(settings.location, settings)
    return _postgresql(settings.location, settings)


def _postgresql(server: PostgresqlServer, settings: StoreSettings) -> Database:
    async def connect() -> asyncpg.Connection[Any]:
        return await asyncpg.connect(
            server.dsn,
            timeout=settings.connect_timeout.total_seconds(),
            server_settings={
                "application_name": "callfleet-engine",
                "statement_timeout": f"{_milliseconds(settings)}ms",
                # Has the server end what a pod that lost its network leaves behind.
                "idle_session_timeout": f"{IDLE_SECONDS}s",
                "idle_in_transaction_session_timeout": f"{_milliseconds(settings)}ms",
                # Compiling costs more than these short statements take.
                "jit": "off",
            },
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=settings.connections,
        max_overflow=0,
        pool_timeout=settings.operation_timeout.total_seconds(),
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    single = engine.execution_options(isolation_level="AUTOCOMMIT")
    snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
    return Database(transactions=engine, statements=single, reads=single, snapshots=snapshots)


def _refuse_closed(
    _: DBAPIConnection, record: ConnectionPoolEntry, __: PoolProxiedConnection
) -> None:
    """Has the pool connect anew in place of what the server has closed while it lay idle.

    A ping would tell more, but costs every operation three round trips with asyncpg.
    """
    connection = record.driver_connection
    if isinstance(connection, asyncpg.Connection) and connection.is_closed():
        raise DisconnectionError("closed by the server")


def _sqlite(file: SqliteFile, settings: StoreSettings) -> Database:
    """One connection writes, since SQLite has one writer; others read beside it (WAL)."""
    url = URL.create("sqlite+aiosqlite", database=str(file.path))
    seconds = settings.operation_timeout.total_seconds()
    bounds: dict[str, Any] = {
        "async_creator": partial(connecting, file.path, seconds),
        "max_overflow": 0,
        "pool_timeout": seconds,
        "hide_parameters": True,
    }
    writer = create_async_engine(url, pool_size=1, **bounds)
    event.listen(writer.sync_engine, "connect", _set_up_sqlite)
    event.listen(writer.sync_engine, "begin", _begin_writing)
    reader = create_async_engine(url, pool_size=min(settings.connections, SQLITE_READERS), **bounds)
    event.listen(reader.sync_engine, "connect", _set_up_sqlite)
    single = writer.execution_options(**{_SINGLE: True})
    return Database(transactions=writer, statements=single, reads=reader, snapshots=writer)


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    try:
        # sqlite3 would begin transactions by itself, and too late (see _begin_writing).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()
    except BaseException:
        # The pool forgets a connection that fails here, and its thread would outlive the loop.
        connection.close()
        raise


async def check_file(location: Location) -> None:
    """Find out whether a SQLite file can be used, before any pool tries.

    aiosqlite leaves the thread of a connection that fails to open behind, to stumble over an event
    loop that may be closed by then.

    Raises:
        sqlite3.Error: it cannot.
    """
    if isinstance(location, SqliteFile):
        await asyncio.to_thread(_read_header, location.path)


def _read_header(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA schema_version")


def _begin_writing(connection: Connection) -> None:
    if connection.get_execution_options().get(_SINGLE):
        return  # SQLite makes a transaction of each statement outside of one
    # A plain BEGIN takes the write lock at the first write, and fails at once if another program
    # has written since this transaction's first read. IMMEDIATE waits for its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _milliseconds(settings: StoreSettings) -> int:
    return max(1, round(settings.operation_timeout.total_seconds() * 1000))

"""aiosqlite's connection with one crossing to its thread for each statement.

aiosqlite crosses to the thread and back for the cursor, the statement, its rows and the cursor's
end, and to roll back what never began; each crossing costs more than a short statement. Here the
rows come back with their statement, and nothing else crosses but a commit or rollback of a
transaction that there is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite

Rows = list[Any]


class SqliteCursor(aiosqlite.Cursor):
    """A cursor whose rows are there when its statement is."""

    def __init__(self, connection: SqliteConnection, cursor: sqlite3.Cursor) -> None:
        super().__init__(connection, cursor)
        self._run = connection.run
        self._rows: Rows = []

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> SqliteCursor:
        """Run the statement and fetch all its rows."""
        given = () if parameters is None else parameters
        self._rows = await self._run(self._cursor, self._cursor.execute, sql, given)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> SqliteCursor:
        """Run the statement with each of the parameters."""
        self._rows = await self._run(self._cursor, self._cursor.executemany, sql, parameters)
        return self

    async def fetchall(self) -> Rows:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing: a statement whose rows have all been fetched is done."""


class SqliteConnection(aiosqlite.Connection):
    """A connection as SQLAlchemy uses one."""

    _unfinished = False
    """The last statement was given up or failed: it may begin a transaction yet."""

    def cursor(self) -> SqliteCursor:  # type: ignore[override] # entered at once, not awaited
        """A cursor. Raises ValueError after the end."""
        return SqliteCursor(self, self._conn.cursor())

    async def run(
        self,
        cursor: sqlite3.Cursor,
        execute: Callable[[str, Any], object],
        sql: str,
        given: Iterable[Any],
    ) -> Rows:
        """Run a statement in the thread; its rows."""

        def run() -> Rows:
            execute(sql, given)
            return cursor.fetchall()

        self._unfinished = True
        rows: Rows = await self._execute(run)  # type: ignore[no-untyped-call]
        self._unfinished = False
        return rows

    async def commit(self) -> None:
        """End the transaction, if there is one."""
        if self._may_be_in_transaction():
            await super().commit()

    async def rollback(self) -> None:
        """Take the transaction back, if there is one."""
        if self._may_be_in_transaction():
            await super().rollback()

    def _may_be_in_transaction(self) -> bool:
        unfinished, self._unfinished = self._unfinished, False
        return unfinished or self._conn.in_transaction


def connecting(file: Path, busy_seconds: float) -> SqliteConnection:
    """A connection to be awaited; it waits so long for another program's lock."""
    connect = partial(sqlite3.connect, file, timeout=busy_seconds, check_same_thread=False)
    connection = SqliteConnection(connect, iter_chunk_size=1)
    connection._thread.daemon = True  # noqa: SLF001 (as SQLAlchemy does with those it makes)
    return connection

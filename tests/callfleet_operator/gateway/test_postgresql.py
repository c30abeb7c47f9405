"""Connections of a real PostgreSQL, and everything that keeps one from asking."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from callfleet_operator.gateway.postgresql import (
    Connections,
    DatabaseError,
    DatabaseFullError,
    DatabaseRefusedError,
    connections,
)
from tests.callfleet_engine.postgresql import (
    PrivatePostgresql,
    postgresql_server,  # noqa: F401 (a fixture)
)

pytestmark = pytest.mark.peer
GENEROUS = 30.0


@pytest.fixture
async def database(postgresql_server: PrivatePostgresql) -> str:  # noqa: F811 (the fixture)
    return await asyncio.to_thread(postgresql_server.new_database)


async def test_what_is_reserved_is_for_others(database: str) -> None:
    # PostgreSQL's own defaults: 100, of which 3 are the superusers'.
    assert await connections(database, GENEROUS) == Connections(maximum=100, usable=97)


async def test_a_limit_of_the_database_counts(database: str) -> None:
    name = database.rpartition("/")[2]
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 12")
    finally:
        await connection.close()

    assert await connections(database, GENEROUS) == Connections(maximum=100, usable=12)


async def test_a_server_without_a_connection_left_says_so(database: str) -> None:
    name = database.rpartition("/")[2]
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("CREATE ROLE guest LOGIN")
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        with pytest.raises(DatabaseFullError, match="too many connections"):
            await connections(database.replace("callfleet@", "guest@"), GENEROUS)
    finally:
        await connection.execute("DROP ROLE guest")
        await connection.close()


async def test_a_database_that_is_not_there_is_refused(database: str) -> None:
    with pytest.raises(DatabaseRefusedError, match="does not exist"):
        await connections(f"{database}_of_nobody", GENEROUS)


async def test_nobody_listens(database: str) -> None:
    with pytest.raises(DatabaseError) as silent:
        await connections("postgresql://callfleet:secret@127.0.0.1:1/calls", GENEROUS)
    assert not isinstance(silent.value, DatabaseRefusedError)
    assert "secret" not in str(silent.value)


async def test_a_server_that_does_not_answer_is_not_waited_for(
    database: str,
    postgresql_server: PrivatePostgresql,  # noqa: F811 (the fixture)
) -> None:
    with postgresql_server.frozen(), pytest.raises(DatabaseError, match=r"no answer within 0\.2 s"):
        await connections(database, 0.2)


@pytest.mark.parametrize("uri", ["mysql://u:secret@h/d", "postgresql://u:secret@h:port/d", "no"])
async def test_a_uri_that_is_none_is_not_quoted(uri: str) -> None:
    with pytest.raises(DatabaseRefusedError) as refused:
        await connections(uri, GENEROUS)
    assert "secret" not in str(refused.value)

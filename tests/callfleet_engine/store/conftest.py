"""The store under test, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable

from callfleet_engine.store import SqlStore, StoreSettings, parse_database_url
from callfleet_engine.store.interface import Owner
from tests.callfleet_engine.postgresql import postgresql_server  # noqa: F401 (a fixture)

ADA = Owner(uid="uid-a", address="10.0.0.1")
BOB = Owner(uid="uid-b", address="10.0.0.2")

MakeStore = Callable[..., SqlStore]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database; the tests that use it run once on each of the two."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'calls.db'}"
    url: str = request.getfixturevalue("postgresql_server").new_database()
    return url


@pytest.fixture
def settings(database_url: str) -> StoreSettings:
    return StoreSettings(
        parse_database_url(database_url),
        connections=5,
        retention=timedelta(days=30),
    )


@pytest.fixture
async def make_store(settings: StoreSettings) -> AsyncIterator[MakeStore]:
    """Makes stores on the database, not opened yet; they are closed at the end."""
    made: list[SqlStore] = []

    def make(**changes: object) -> SqlStore:
        store = SqlStore(replace(settings, **changes))  # type: ignore[arg-type]  # any field
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()


@pytest.fixture
async def store(make_store: MakeStore) -> SqlStore:
    """An open store."""
    opened = make_store()
    await opened.open()
    return opened


async def rows(store: SqlStore, query: Executable) -> list[Any]:
    """What a query gives on the store's database."""
    async with store._database.reads.connect() as connection:
        return list(await connection.execute(query))

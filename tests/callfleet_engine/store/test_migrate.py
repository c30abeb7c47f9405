"""The schema at start: made, kept, shared with the release before and after, or refused."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, text

from callfleet_engine.store import SqlStore, migrate
from callfleet_engine.store.interface import IncompatibleSchema
from callfleet_engine.store.migrate import Action, Found, Schema, judge
from callfleet_engine.store.schema import metadata, now, schema_history

from .conftest import ADA, MakeStore, rows

KNOWN = Schema(version=7, readable_from=6)


@pytest.mark.parametrize(
    ("found", "consumer", "action"),
    [
        (Found(None), "", Action.MIGRATE),
        (Found(None), "calls/demo", Action.MIGRATE),
        (Found(Schema(6, 5), "calls/demo"), "calls/demo", Action.MIGRATE),
        (Found(KNOWN, "calls/demo"), "calls/demo", Action.NOTHING),
        (Found(KNOWN, "calls/demo"), "", Action.NOTHING),
        (Found(KNOWN), "calls/demo", Action.CLAIM),
        (Found(Schema(8, 7), "calls/demo"), "calls/demo", Action.NOTHING),
    ],
)
def test_what_is_done_with_a_database(found: Found, consumer: str, action: Action) -> None:
    assert judge(found, KNOWN, consumer) is action


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Found(Schema(9, 8), "calls/demo"), "this one knows 7. Use a newer image"),
        (Found(KNOWN, "calls/other"), "belongs to calls/other"),
        (Found(None, foreign_tables=("calls", "pods")), "calls, pods. Give the CallCluster"),
    ],
)
def test_which_databases_are_refused(found: Found, says: str) -> None:
    with pytest.raises(IncompatibleSchema, match=says):
        judge(found, KNOWN, "calls/demo")


async def test_the_migrations_lead_to_the_tables_the_code_uses(store: SqlStore) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, *_: name != migrate.ALEMBIC_TABLE,
            },
        )
        return list(compare_metadata(context, metadata))

    async with store._database.reads.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_opening_again_changes_nothing(store: SqlStore, make_store: MakeStore) -> None:
    before = await rows(store, select(schema_history))
    again = make_store()
    await again.open()
    await again.open()

    assert await rows(store, select(schema_history)) == before


def test_migrations_are_numbered_and_say_who_can_read_them() -> None:
    scripts = list(ScriptDirectory.from_config(migrate._configuration()).walk_revisions())[::-1]

    for number, script in enumerate(scripts, start=1):
        assert script.revision == f"{number:04}"
        assert script.down_revision == (f"{number - 1:04}" if number > 1 else None)
        assert 1 <= script.module.readable_from <= number


async def test_a_newer_schema_is_used_as_long_as_it_allows(
    store: SqlStore, make_store: MakeStore
) -> None:
    async def next_release(version: int, readable_from: int) -> None:
        async with store._database.transactions.begin() as connection:
            await connection.execute(
                insert(schema_history).values(
                    version=version, readable_from=readable_from, consumer="", at=now()
                )
            )

    mine = migrate.newest_schema().version
    await next_release(mine + 1, mine)
    async with store._database.transactions.begin() as connection:
        await connection.execute(text("ALTER TABLE calls ADD COLUMN region VARCHAR(64)"))
        await connection.execute(text("UPDATE callfleet_alembic SET version_num = '9998'"))
    beside = make_store()
    await beside.open()
    assert (await beside.initiate_call("demo", ADA)).epoch == 1

    await next_release(mine + 2, mine + 1)
    with pytest.raises(IncompatibleSchema, match=f"schema {mine + 2}"):
        await make_store().open()


async def test_a_database_serves_one_call_cluster(make_store: MakeStore) -> None:
    await make_store().open()
    await make_store(consumer="calls/demo").open()
    await make_store(consumer="calls/demo").open()
    await make_store().open()

    with pytest.raises(IncompatibleSchema, match="belongs to calls/demo, this engine to calls/b"):
        await make_store(consumer="calls/b").open()


async def test_a_database_of_another_program_is_left_alone(make_store: MakeStore) -> None:
    store = make_store()
    async with store._database.transactions.begin() as connection:
        await connection.execute(text("CREATE TABLE calls (id INTEGER)"))

    with pytest.raises(IncompatibleSchema, match="not Callfleet's: calls"):
        await store.open()

    assert await rows(store, text("SELECT * FROM calls")) == []

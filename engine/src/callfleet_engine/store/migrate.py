"""Brings the schema up to date at the start of a pod, once however many pods start together.

Two releases may use one database while pods are replaced. The database says in its table
`callfleet_schema` which schema it has and from which schema on programs can work with it: a pod
of an older release goes on beside a newer schema as long as it is among those.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select, text, update

from callfleet_engine.store.database import Database
from callfleet_engine.store.interface import IncompatibleSchema
from callfleet_engine.store.schema import insert_into, metadata, now, schema_history
from callfleet_engine.store.settings import StoreSettings

ALEMBIC_TABLE: Final = "callfleet_alembic"
MIGRATION_LOCK: Final = 0x43616C6C_666C6565
"""Key of PostgreSQL's advisory lock; any number that nobody else is likely to use."""
SCRIPTS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Schema:
    """A version of the tables, and the oldest one whose programs can work with it."""

    version: int
    readable_from: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a database holds before anything is done to it."""

    schema: Schema | None
    """None: no tables of Callfleet's."""
    consumer: str = ""
    foreign_tables: tuple[str, ...] = ()
    """Tables of our names in a database without our schema."""


class Action(Enum):
    """What is to be done before the store can be used."""

    NOTHING = "nothing"
    MIGRATE = "migrate"
    CLAIM = "claim"
    """Write down whose database it is."""


def judge(found: Found, newest: Schema, consumer: str) -> Action:
    """What this program has to do with the database it finds.

    Raises:
        IncompatibleSchema: it must not touch it.
    """
    if found.foreign_tables:
        raise IncompatibleSchema(
            f"The database has tables that are not Callfleet's: {', '.join(found.foreign_tables)}.",
            "Give the CallCluster a database of its own.",
        )
    if found.schema is None:
        return Action.MIGRATE
    if newest.version < found.schema.readable_from:
        raise IncompatibleSchema(
            f"The database has schema {found.schema.version}, which needs a release that knows "
            f"schema {found.schema.readable_from}; this one knows {newest.version}.",
            "Use a newer image. Go back over one release at most.",
        )
    if consumer and found.consumer not in {"", consumer}:
        raise IncompatibleSchema(
            f"The database belongs to {found.consumer}, this engine to {consumer}.",
            "Give each CallCluster a database of its own. If this one has been moved on purpose: "
            "UPDATE callfleet_schema SET consumer = ''.",
        )
    if found.schema.version < newest.version:
        return Action.MIGRATE
    return Action.CLAIM if consumer != found.consumer and consumer else Action.NOTHING


async def bring_up_to_date(database: Database, settings: StoreSettings) -> None:
    """Make the database usable by this program.

    Raises:
        IncompatibleSchema: it cannot be made so.
    """
    newest = newest_schema()
    async with database.reads.connect() as connection:
        found = await connection.run_sync(_look)
    if judge(found, newest, settings.consumer) is Action.NOTHING:
        return
    async with database.transactions.begin() as connection:
        if connection.dialect.name == "postgresql":
            seconds = settings.migration_timeout.total_seconds()
            await connection.execute(text(f"SET LOCAL statement_timeout = '{seconds:.0f}s'"))
            await connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        await connection.run_sync(_act, newest, settings.consumer)


def newest_schema() -> Schema:
    """The schema this program was written for."""
    scripts = ScriptDirectory.from_config(_configuration())
    head = scripts.get_revision("head")
    return Schema(version=int(head.revision), readable_from=head.module.readable_from)


def _look(connection: Connection) -> Found:
    tables = set(inspect(connection).get_table_names())
    if schema_history.name not in tables:
        return Found(None, foreign_tables=tuple(sorted(tables & set(metadata.tables))))
    row = connection.execute(
        select(schema_history).order_by(schema_history.c.version.desc()).limit(1)
    ).one()
    return Found(Schema(row.version, row.readable_from), row.consumer)


def _act(connection: Connection, newest: Schema, consumer: str) -> None:
    """Under the lock: look again, for another pod may have been faster."""
    found = _look(connection)
    action = judge(found, newest, consumer)
    if action is Action.MIGRATE:
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        connection.execute(
            insert_into(schema_history, connection.dialect).values(
                version=newest.version,
                readable_from=newest.readable_from,
                consumer=consumer or found.consumer,
                at=now(),
            )
        )
    elif action is Action.CLAIM:
        connection.execute(update(schema_history).values(consumer=consumer))


def _configuration() -> Config:
    configuration = Config()
    # Alembic reads % as the start of an interpolation.
    configuration.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration

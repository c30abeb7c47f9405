"""The tables, as the newest migration leaves them, and SQL that the two databases spell apart.

PostgreSQL keeps times as `timestamptz`. SQLite has no type for them: there a time is a text
`2026-01-01T00:00:00.000Z`, so that the order of texts is the order of times.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

from callfleet_engine.store.interface import IDENTIFIER_LENGTH, NAME_LENGTH, ROOM_LENGTH


class UtcTime(TypeDecorator[datetime]):
    """An aware time, to the millisecond at least."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(24))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def process_result_value(
        self,
        value: datetime | str | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        return datetime.fromisoformat(value) if isinstance(value, str) else value


class ago(GenericFunction[datetime]):  # noqa: N801 (named as it is read in a statement)
    """The database's time so many seconds ago; `ago(0)` is now."""

    type = UtcTime()
    inherit_cache = True


@compiles(ago, "postgresql")
def _ago_postgresql(element: ago, compiler: SQLCompiler, **kw: object) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(CURRENT_TIMESTAMP - make_interval(secs => {seconds}))"


@compiles(ago, "sqlite")
def _ago_sqlite(element: ago, compiler: SQLCompiler, **kw: object) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (-{seconds}) || ' seconds')"


def now() -> ColumnElement[datetime]:
    """The database's time."""
    return ago(0.0)


class hour_of(GenericFunction[datetime]):  # noqa: N801 (named as it is read in a statement)
    """The full hour, UTC, in which a time lies."""

    type = UtcTime()
    inherit_cache = True


@compiles(hour_of, "postgresql")
def _hour_postgresql(element: hour_of, compiler: SQLCompiler, **kw: object) -> str:
    return f"date_trunc('hour', {compiler.process(element.clauses, **kw)}, 'UTC')"


@compiles(hour_of, "sqlite")
def _hour_sqlite(element: hour_of, compiler: SQLCompiler, **kw: object) -> str:
    return f"substr({compiler.process(element.clauses, **kw)}, 1, 13) || ':00:00.000Z'"


def insert_into(table: Table, dialect: Dialect) -> postgresql.Insert | sqlite.Insert:
    """INSERT that knows ON CONFLICT, which both databases have and standard SQL has not."""
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


metadata = MetaData()

schema_history = Table(
    "callfleet_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("readable_from", Integer, nullable=False),
    Column("consumer", String(NAME_LENGTH), nullable=False),
    Column("at", UtcTime, nullable=False),
)

pods = Table(
    "pods",
    metadata,
    Column("uid", String(IDENTIFIER_LENGTH), primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("address", String(NAME_LENGTH), nullable=False),
    Column("admission", String(16), nullable=False),
    Column("participants", Integer, nullable=False),
    Column("pending_joins", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("release", String(IDENTIFIER_LENGTH), nullable=False),
    Column("at", UtcTime, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("call_id", String(IDENTIFIER_LENGTH), primary_key=True),
    Column("room", String(ROOM_LENGTH), nullable=False),
    Column("owner_uid", String(IDENTIFIER_LENGTH), nullable=False),
    Column("owner_address", String(NAME_LENGTH), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("end_reason", String(IDENTIFIER_LENGTH)),
    Column("released_at", UtcTime),
)
Index(
    "calls_active_room",
    calls.c.room,
    unique=True,
    postgresql_where=text("ended_at IS NULL"),
    sqlite_where=text("ended_at IS NULL"),
)
Index("calls_ended_at", calls.c.ended_at)

participants = Table(
    "participants",
    metadata,
    Column("call_id", ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("participant_id", String(IDENTIFIER_LENGTH), primary_key=True),
    Column("identity", String(NAME_LENGTH), nullable=False),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("joined_at", UtcTime, nullable=False),
    Column("left_at", UtcTime),
    Column("leave_reason", String(IDENTIFIER_LENGTH)),
    Column("resume_digest", String(IDENTIFIER_LENGTH)),
)

quality_samples = Table(
    "quality_samples",
    metadata,
    Column("call_id", ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("participant_id", String(IDENTIFIER_LENGTH), primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("packets", BigInteger, nullable=False),
    Column("packets_lost", BigInteger, nullable=False),
    Column("jitter_seconds", Double),
    Column("round_trip_seconds", Double),
    Column("bits_per_second", Double),
)
Index("quality_samples_at", quality_samples.c.at)

quality_hours = Table(
    "quality_hours",
    metadata,
    Column("call_id", ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("participant_id", String(IDENTIFIER_LENGTH), primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("hour", UtcTime, primary_key=True),
    Column("samples", BigInteger, nullable=False),
    Column("packets", BigInteger, nullable=False),
    Column("packets_lost", BigInteger, nullable=False),
    Column("jitter_seconds_sum", Double, nullable=False),
    Column("jitter_seconds_count", BigInteger, nullable=False),
    Column("jitter_seconds_max", Double),
    Column("round_trip_seconds_sum", Double, nullable=False),
    Column("round_trip_seconds_count", BigInteger, nullable=False),
    Column("round_trip_seconds_max", Double),
    Column("bits_per_second_sum", Double, nullable=False),
    Column("bits_per_second_count", BigInteger, nullable=False),
    Column("bits_per_second_max", Double),
)

turn_hours = Table(
    "turn_hours",
    metadata,
    Column("server", String(NAME_LENGTH), primary_key=True),
    Column("hour", UtcTime, primary_key=True),
    Column("probes", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("latency_seconds_sum", Double, nullable=False),
    Column("latency_seconds_max", Double),
)

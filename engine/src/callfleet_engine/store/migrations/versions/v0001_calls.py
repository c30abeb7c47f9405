"""Pods, calls and their owners, participants, quality, relays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
readable_from = 1

TIME = sa.DateTime(timezone=True).with_variant(sa.String(24), "sqlite")
ACTIVE = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "callfleet_schema",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("readable_from", sa.Integer, nullable=False),
        sa.Column("consumer", sa.String(256), nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_table(
        "pods",
        sa.Column("uid", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("address", sa.String(256), nullable=False),
        sa.Column("admission", sa.String(16), nullable=False),
        sa.Column("participants", sa.Integer, nullable=False),
        sa.Column("pending_joins", sa.Integer, nullable=False),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("room", sa.String(128), nullable=False),
        sa.Column("owner_uid", sa.String(64), nullable=False),
        sa.Column("owner_address", sa.String(256), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("end_reason", sa.String(64)),
    )
    op.create_index(
        "calls_active_room",
        "calls",
        ["room"],
        unique=True,
        postgresql_where=ACTIVE,
        sqlite_where=ACTIVE,
    )
    op.create_index("calls_ended_at", "calls", ["ended_at"])
    op.create_table(
        "participants",
        _call(),
        sa.Column("participant_id", sa.String(64), primary_key=True),
        sa.Column("identity", sa.String(256), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("joined_at", TIME, nullable=False),
        sa.Column("left_at", TIME),
        sa.Column("leave_reason", sa.String(64)),
    )
    op.create_table(
        "quality_samples",
        _call(),
        sa.Column("participant_id", sa.String(64), primary_key=True),
        sa.Column("direction", sa.String(8), primary_key=True),
        sa.Column("at", TIME, primary_key=True),
        sa.Column("packets", sa.BigInteger, nullable=False),
        sa.Column("packets_lost", sa.BigInteger, nullable=False),
        sa.Column("jitter_seconds", sa.Double),
        sa.Column("round_trip_seconds", sa.Double),
        sa.Column("bits_per_second", sa.Double),
    )
    op.create_index("quality_samples_at", "quality_samples", ["at"])
    op.create_table(
        "quality_hours",
        _call(),
        sa.Column("participant_id", sa.String(64), primary_key=True),
        sa.Column("direction", sa.String(8), primary_key=True),
        sa.Column("hour", TIME, primary_key=True),
        sa.Column("samples", sa.BigInteger, nullable=False),
        sa.Column("packets", sa.BigInteger, nullable=False),
        sa.Column("packets_lost", sa.BigInteger, nullable=False),
        sa.Column("jitter_seconds_sum", sa.Double, nullable=False),
        sa.Column("jitter_seconds_count", sa.BigInteger, nullable=False),
        sa.Column("jitter_seconds_max", sa.Double),
        sa.Column("round_trip_seconds_sum", sa.Double, nullable=False),
        sa.Column("round_trip_seconds_count", sa.BigInteger, nullable=False),
        sa.Column("round_trip_seconds_max", sa.Double),
        sa.Column("bits_per_second_sum", sa.Double, nullable=False),
        sa.Column("bits_per_second_count", sa.BigInteger, nullable=False),
        sa.Column("bits_per_second_max", sa.Double),
    )
    op.create_table(
        "turn_hours",
        sa.Column("server", sa.String(256), primary_key=True),
        sa.Column("hour", TIME, primary_key=True),
        sa.Column("probes", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("latency_seconds_sum", sa.Double, nullable=False),
        sa.Column("latency_seconds_max", sa.Double),
    )


def _call() -> sa.Column[str]:
    return sa.Column(
        "call_id",
        sa.String(64),
        sa.ForeignKey("calls.call_id", ondelete="CASCADE"),
        primary_key=True,
    )

"""Statements of every join, made once: making one costs more than the database takes for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, Dialect, Executable, bindparam, select

from callfleet_engine.store.interface import FIRST_EPOCH
from callfleet_engine.store.rows import ROUTE
from callfleet_engine.store.schema import calls, insert_into, now, participants

ACTIVE: Final[ColumnElement[bool]] = calls.c.ended_at.is_(None)

CALL_OF_ROOM: Final = select(*ROUTE).where(calls.c.room == bindparam("room"), ACTIVE)
"""The active call of `room`."""
CALL_BY_ID: Final = select(*ROUTE).where(calls.c.call_id == bindparam("call"), ACTIVE)
"""The call with the identifier `call`, if it is active."""

EPOCHS: Final = (
    select(calls.c.call_id, calls.c.epoch)
    .where(calls.c.call_id.in_(bindparam("call_ids", expanding=True)))
    .order_by(calls.c.call_id)
    .with_for_update(read=True)
)
"""Of `call_ids`, held for the rest of the transaction."""
EPOCHS_OF_ACTIVE: Final = EPOCHS.where(ACTIVE)
"""The same, of those that have not ended."""


@lru_cache(2)
def initiating(dialect: Dialect) -> Executable:
    """Start the call of `room` as `call_id`, by `owner_uid` at `owner_address`; the room's route.

    A room that has a call keeps it.
    """
    return (
        insert_into(calls, dialect)
        .values(epoch=FIRST_EPOCH, started_at=now())
        # An update that changes nothing, for DO NOTHING would return no row.
        .on_conflict_do_update(
            index_elements=[calls.c.room], index_where=ACTIVE, set_={"room": calls.c.room}
        )
        .returning(*ROUTE)
    )


@lru_cache(2)
def joining(dialect: Dialect) -> Executable:
    """Record participants (`joining_row`) who join now, but for those that are recorded."""
    insert = insert_into(participants, dialect).values(joined_at=now())
    return insert.on_conflict_do_nothing()

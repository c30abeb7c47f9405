"""The fence around a call: only the owner of its present epoch may write.

These hold a call's row for the rest of the transaction (FOR SHARE, FOR UPDATE), so that a change
of ownership comes either before or after all the transaction does. SQLite has no such clause and
needs none: BEGIN IMMEDIATE lets one writer in at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_engine.store.interface import NoActiveCall, StaleOwner
from callfleet_engine.store.rows import ROUTE, to_route
from callfleet_engine.store.schema import calls
from callfleet_engine.store.statements import EPOCHS, EPOCHS_OF_ACTIVE


async def has_ended(
    connection: AsyncConnection, call_id: str, epoch: int, *, will_change: bool = False
) -> bool:
    """The fence: hold the call as it is until the transaction ends, for its owner only.

    Returns:
        whether the call has ended.
    Raises:
        NoActiveCall: unknown.
        StaleOwner: the epoch is not the call's.
    """
    found = await connection.execute(
        select(*ROUTE, calls.c.ended_at)
        .where(calls.c.call_id == call_id)
        .with_for_update(read=not will_change)
    )
    row = found.one_or_none()
    if row is None:
        raise no_active_call(call_id)
    ended: bool = row.ended_at is not None
    if row.epoch != epoch:
        raise StaleOwner(
            f"Call {call_id} has gone on to epoch {row.epoch}; this owner's was {epoch}.",
            "Send its participants to the present owner and forget the call.",
            None if ended else to_route(row),
        )
    return ended


async def owned_by_batch(
    connection: AsyncConnection, call_ids: Iterable[str], *, active: bool = False
) -> set[tuple[str, int]]:
    """These calls with their true epochs, of those that have not ended if `active`; held so, as
    `has_ended` does."""
    found = EPOCHS_OF_ACTIVE if active else EPOCHS
    rows = await connection.execute(found, {"call_ids": sorted(set(call_ids))})
    return {(row.call_id, row.epoch) for row in rows}


def no_active_call(call_id: str) -> NoActiveCall:
    """The error for a call that is unknown or has ended."""
    return NoActiveCall(
        f"There is no active call {call_id}.", "Look the room up again, or start a new call."
    )

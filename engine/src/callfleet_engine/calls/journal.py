"""Records of who came and went, written to the store in order and beside the calls.

A call never waits for its history. While the store is away records wait, up to a bound; those of
a call that has another owner by now are void.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from callfleet_engine.store.interface import (
    CallRoute,
    Joining,
    NoActiveCall,
    Participant,
    StaleOwner,
    Store,
    StoreError,
    StoreUnavailable,
)

logger = logging.getLogger(__name__)

MAX_RECORDS = 10_000
RETRY_SECONDS = 1.0
MAX_FAULTS = 5
"""Tries of one record that the store refuses for a fault of its own, which may pass."""

MOMENT_SECONDS = 0.2
"""A record waits so long for others: joins that come together take one transaction."""

MAX_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class _Record:
    route: CallRoute
    write: Callable[[], Awaitable[None]]
    joining: Joining | None = None


class Journal:
    """One writer, first in first out."""

    def __init__(self, store: Store, on_lost: Callable[[CallRoute], None]) -> None:
        """`on_lost`: this call belongs to another pod."""
        self._store = store
        self._on_lost = on_lost
        self._records: deque[_Record] = deque()
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._faults = 0
        self.dropped = 0
        """Records lost because too many waited, or the store would not take them."""

    @property
    def backlog(self) -> int:
        """Records that wait."""
        return len(self._records)

    def joined(self, route: CallRoute, participant: Participant) -> None:
        """Somebody came."""
        self._add(
            _Record(
                route,
                lambda: self._store.join_call(route.call_id, route.epoch, participant),
                Joining(route.call_id, route.epoch, participant),
            )
        )

    def left(self, route: CallRoute, participant_id: str, reason: str) -> None:
        """Somebody left."""
        self._add(
            _Record(
                route,
                lambda: self._store.leave_call(route.call_id, route.epoch, participant_id, reason),
            )
        )

    def ended(self, route: CallRoute, reason: str) -> None:
        """The call is over."""
        self._add(_Record(route, lambda: self._store.end_call(route.call_id, route.epoch, reason)))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._work.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT_SECONDS):
                    await self._hurry.wait()
            while self._records:
                if await self._write_together():
                    continue
                if not await self._write(self._records[0]):
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                self._records.popleft()
            self._work.clear()
            self._hurry.clear()
            self._idle.set()

    async def flush(self, within_seconds: float) -> bool:
        """Wait until everything is written; False if this takes longer."""
        self._hurry.set()
        try:
            async with asyncio.timeout(within_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _add(self, record: _Record) -> None:
        if len(self._records) >= MAX_RECORDS:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1000 == 0:
                logger.error("the store's backlog is full", extra={"dropped": self.dropped})
            return
        self._records.append(record)
        self._idle.clear()
        self._work.set()

    async def _write_together(self) -> bool:
        """Write the joins that come first, unless it is one; False if none was written so.

        What the store refuses stays first, to be written by itself, and refused by name.
        """
        together = []
        for record in islice(self._records, MAX_TOGETHER):
            if record.joining is None:
                break
            together.append((record, record.joining))
        if len(together) < 2:
            return False
        try:
            refused = set(await self._store.join_calls([joining for _, joining in together]))
        except StoreError:
            return False
        left = [record for record, joining in together if joining in refused]
        for _ in together:
            self._records.popleft()
        self._records.extendleft(reversed(left))
        return len(left) < len(together)

    async def _write(self, record: _Record) -> bool:
        route = record.route
        try:
            await record.write()
        except StoreUnavailable as error:
            logger.warning(
                "the store is away, records wait",
                extra={"backlog": self.backlog, "error": str(error)},
            )
            return False
        except StaleOwner:
            self._on_lost(route)
        except NoActiveCall:
            logger.warning(
                "a record of a call that the store no longer has", extra={"call": route.call_id}
            )
        except StoreError:
            self._faults += 1
            logger.exception(
                "the store refuses a record",
                extra={"call": route.call_id, "tries": self._faults},
            )
            if self._faults < MAX_FAULTS:
                return False
            self.dropped += 1
        self._faults = 0
        return True

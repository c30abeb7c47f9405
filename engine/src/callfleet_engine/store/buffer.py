"""Quality samples on their way to the database, written in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self

from callfleet_engine.store.interface import MetricsWritten, QualitySample, StoreUnavailable
from callfleet_engine.store.values import check_sample

FLUSH_SECONDS: Final = 30.0
BATCH: Final = 1_000
CAPACITY: Final = 10_000

logger = logging.getLogger(__name__)

Write = Callable[[Sequence[QualitySample]], Awaitable[MetricsWritten]]


class BufferedSamples:
    """Implements `interface.SampleBuffer`: `async with BufferedSamples(store.insert_metrics)`.

    Writes every `flush_seconds`, and at once when `batch` samples wait. While the database is away
    samples wait, `capacity` of them at most. Leaving the context writes what is left, once.
    """

    def __init__(
        self,
        write: Write,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        batch: int = BATCH,
        capacity: int = CAPACITY,
    ) -> None:
        if not 0 < batch <= capacity:
            raise ValueError(f"batch must be 1 to {capacity}, not {batch}")
        self._write = write
        self._flush_seconds = flush_seconds
        self._batch = batch
        self._capacity = capacity
        self._waiting: deque[QualitySample] = deque()
        self._under_way: list[QualitySample] = []
        self._full = asyncio.Event()
        self._away = False
        self._dropped = 0
        self._refused = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        return len(self._waiting) + len(self._under_way)

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def refused(self) -> int:
        """Samples the store did not take since the start: of calls that have another owner."""
        return self._refused

    def add(self, sample: QualitySample) -> None:
        check_sample(sample)
        self._waiting.append(sample)
        self._drop_what_is_too_much()
        if len(self._waiting) >= self._batch:
            self._full.set()

    async def flush(self) -> bool:
        """Write all that waits, batch by batch; False if the database is away.

        Raises:
            Exception: whatever else the store raises; the batch it raised for is dropped.
        """
        while self._waiting:
            self._under_way = [
                self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))
            ]
            try:
                result = await self._write(self._under_way)
            except (StoreUnavailable, asyncio.CancelledError) as failure:
                self._take_back()
                if isinstance(failure, asyncio.CancelledError):
                    raise
                self._note_absence(failure)
                return False
            except Exception:
                self._dropped += len(self._under_way)
                self._under_way = []
                raise
            self._refused += result.refused
            self._under_way = []
        self._note_return()
        return True

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="quality samples")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if not await self.flush():
            logger.warning("%d quality samples are lost with this process.", self.backlog)

    async def _run(self) -> None:
        reached = True
        while True:
            if reached:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._flush_seconds):
                        await self._full.wait()
            else:
                # A full buffer is no reason to hurry to a database that is away.
                await asyncio.sleep(self._flush_seconds)
            self._full.clear()
            try:
                reached = await self.flush()
            except Exception:
                # One batch that cannot be written must not end the writing of all later ones.
                logger.exception("A batch of quality samples is lost: %d so far.", self._dropped)

    def _take_back(self) -> None:
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way = []
        self._drop_what_is_too_much()

    def _drop_what_is_too_much(self) -> None:
        excess = self.backlog - self._capacity
        if excess <= 0:
            return
        if not self._dropped:
            logger.warning(
                "More than %d quality samples wait for the database; the oldest are dropped.",
                self._capacity,
            )
        # What is under way cannot be dropped: there may be less to drop than is too much.
        for _ in range(min(excess, len(self._waiting))):
            self._waiting.popleft()
            self._dropped += 1

    def _note_absence(self, failure: StoreUnavailable) -> None:
        if not self._away:
            logger.warning("Quality samples wait in memory, %d now. %s", self.backlog, failure)
        self._away = True

    def _note_return(self) -> None:
        if self._away:
            logger.info("Quality samples are written again; %d were dropped.", self._dropped)
        self._away = False

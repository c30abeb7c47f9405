"""Work that goes on beside a request: kept alive, logged when it fails, awaited at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

logger = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
CANCEL_SECONDS = 2.0
CANCELLATIONS = 3
"""More than one: a database driver that tidies a connection up may swallow a cancellation."""


class Background:
    """A set of running tasks; the event loop itself keeps weak references only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[None, None, None], name: str) -> None:
        """Start `work`; what it raises is logged with its trace."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def keep(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> None:
        """Start work that is never to end, again whenever it fails: calls must not suffer from a
        defect beside them, and without heartbeats a pod would lose them."""
        self.run(self._again_and_again(work, name), name)

    async def _again_and_again(
        self, work: Callable[[], Coroutine[None, None, None]], name: str
    ) -> None:
        while True:
            try:
                await work()
            except Exception:
                logger.exception("background work failed and begins anew", extra={"task": name})
            await asyncio.sleep(RESTART_SECONDS)

    async def finish(self, within_seconds: float) -> None:
        """Wait for what is running; what is left after this time is cancelled, and waited for."""
        late = await _wait(self._tasks, within_seconds)
        for _ in range(CANCELLATIONS):
            for task in late:
                task.cancel()
            late = await _wait(late, CANCEL_SECONDS)
        for task in late:
            logger.error("background work does not end", extra={"task": task.get_name()})

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("background work failed", exc_info=error, extra={"task": task.get_name()})


async def _wait(tasks: set[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """Those that are not done after this time."""
    if not tasks:
        return set()
    _, late = await asyncio.wait(set(tasks), timeout=seconds)
    return late

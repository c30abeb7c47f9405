"""Tasks that end when they should."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from callfleet_operator.gateway.errors import UnavailableError

_INSIST = 0.5
_PATIENCE_FIRST, _PATIENCE_MAX = 1.0, 15.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class EndedError(Exception):
    """What was waited for is not wanted any more."""


@asynccontextmanager
async def running(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """A task that has ended when the block is left."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        # Again and again: kopf's watches swallow a cancellation that comes while they connect.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_INSIST)


async def before(end: asyncio.Task[Any], work: Coroutine[Any, Any, T]) -> T:
    """Do the work. Raises EndedError, and gives the work up, if the other task ends first."""
    async with running(work) as task:
        await asyncio.wait({end, task}, return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            raise EndedError
        return task.result()


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the API server until it answers.

    Leaving would only prolong an outage: Kubernetes starts a container that ends again and again
    more and more rarely.
    """
    delay = _PATIENCE_FIRST
    while True:
        try:
            return await ask()
        except UnavailableError as away:
            delay = max(delay, away.retry_after)
            log.warning(
                "the API server cannot be used, next attempt in %g s: %s",
                delay,
                away,
                extra={"event": "api-away"},
            )
        await asyncio.sleep(delay)
        delay = min(2 * delay, _PATIENCE_MAX)

"""When offers are made, how long a negotiation may take, and what is told of one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aiortc import InvalidStateError
from aiortc.exceptions import OperationError

from callfleet_engine.media.interface import BadSdpError

T = TypeVar("T")
NEGOTIATION_SECONDS = 5.0
OFFER_PAUSE_SECONDS = 0.1
"""So far apart are the offers to one subscriber: all who join at once stand in the next one."""

CALM_SECONDS = 0.02
"""So long nobody must have waited for an answer before the next offer is made."""
PATIENCE_SECONDS = 0.25
"""No offer waits longer for that."""


class Pace:
    """Of the offers to one subscriber. `due` is called when one may be made that had to wait."""

    def __init__(self, due: Callable[[], None]) -> None:
        self._due = due
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def ready(self) -> bool:
        """Whether an offer may be made now, which takes its place."""
        if self._timer is not None:
            return False
        now = self._loop.time()
        if now < self._next:
            self._timer = self._loop.call_at(self._next, self._later)
            return False
        self._next = now + OFFER_PAUSE_SECONDS
        return True

    def _later(self) -> None:
        self._timer = None
        self._due()

    def cancel(self) -> None:
        """No offer waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Turns:
    """Of the offers to all subscribers: one after the other, when nobody waits for an answer.

    Where many join at once, each of them is answered first, which holds up media between all of
    them by about a tenth (docs/benchmarks.md).
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._one = asyncio.Lock()
        self._answered = -CALM_SECONDS
        self.awaited = 0
        """Answers that clients wait for."""

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While somebody waits for an answer."""
        self.awaited += 1
        try:
            yield
        finally:
            self.awaited -= 1
            self._answered = self._clock()

    async def wait(self) -> None:
        """Return when an offer may be made."""
        patience = self._clock() + PATIENCE_SECONDS
        async with self._one:
            while (now := self._clock()) < patience:
                calm_at = now + CALM_SECONDS if self.awaited else self._answered + CALM_SECONDS
                if calm_at <= now:
                    break
                await self._sleep(min(calm_at, patience) - now)
            await self._sleep(0)


async def negotiated(step: Coroutine[None, None, T]) -> T:
    """Run a step of aiortc's; what it refuses is the client's description."""
    try:
        async with asyncio.timeout(NEGOTIATION_SECONDS):
            return await step
    except (InvalidStateError, OperationError, ValueError) as error:
        raise BadSdpError(
            f"The description cannot be applied: {error}",
            "Send the SDP of createOffer() or createAnswer() unchanged.",
        ) from error

"""Works off the keys that are due, several at a time, each one by one worker only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from random import random
from typing import Generic, Protocol, TypeVar

from callfleet_operator.handlers.work import Schedule
from callfleet_operator.reconcile.errors import RoundError

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)
log = logging.getLogger(__name__)

COALESCE = 0.1
"""Seconds a change waits for more changes: pods that start together cause one round."""


class Observer(Protocol[K_contra]):
    """Is told how rounds end."""

    def finished(self, key: K_contra, seconds: float) -> None:
        """A round has ended well."""

    def failed(self, key: K_contra, cause: str) -> None:
        """A round has failed; cause `bug` means an error in the operator itself."""


class KeyedQueue(Generic[K]):
    """Runs `work(key)` for every key that is due.

    `work` returns the seconds until the key is due again, or None when its object is gone. It
    raises RoundError for known trouble; any other exception is a bug of ours: it is logged with its
    trace, counted and retried with backoff, and never stops the work on other keys.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        observer: Observer[K],
        *,
        workers: int,
        round_timeout: float,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random,
    ) -> None:
        self._work = work
        self._observer = observer
        self._workers = workers
        self._round_timeout = round_timeout
        self._clock = clock
        self._schedule: Schedule[K] = Schedule(jitter)
        self._changed = asyncio.Event()
        self._sleeps_until = 0.0
        """When the worker that waits looks again by itself; infinity: when it is told."""
        self._turn = asyncio.Lock()
        """Of the one worker that waits for a key: what wakes it need not wake them all."""
        self._closing = asyncio.Event()

    def add(self, key: K, delay: float = COALESCE) -> None:
        """Ask for a round of the key after `delay` seconds at the latest."""
        self._schedule.add(key, self._clock() + delay)
        self._wake()

    def longest_wait(self) -> float:
        """Seconds for which an object has waited for a round, or a round has run."""
        return self._schedule.longest_wait(self._clock())

    def __len__(self) -> int:
        return len(self._schedule)

    def close(self) -> None:
        """Begin no further round: `run` returns when those under way have ended."""
        self._closing.set()
        self._changed.set()

    async def closed(self) -> None:
        """Return once it is closed."""
        await self._closing.wait()

    async def run(self) -> None:
        """Work until closed or cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._run_worker())

    async def _run_worker(self) -> None:
        while True:
            async with self._turn:
                key = await self._next()
            if key is None:
                return
            await self._round(key)
            self._wake()

    async def _next(self) -> K | None:
        """The next key, once there is one that is due; None when closed."""
        while not self._closing.is_set():
            key = self._schedule.take(self._clock())
            if key is not None:
                return key
            await self._wait()
        return None

    async def _wait(self) -> None:
        due = self._schedule.next_due()
        self._sleeps_until = float("inf") if due is None else due
        self._changed.clear()
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self._changed.wait()
        except TimeoutError:
            return  # a key has become due

    def _wake(self) -> None:
        """Have the worker that waits look, if anything is due before it does so by itself."""
        due = self._schedule.next_due()
        if due is not None and due < self._sleeps_until:
            self._changed.set()

    async def _round(self, key: K) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._round_timeout):
                again = await self._work(key)
        except RoundError as problem:
            self._fail(key, problem.cause, problem.after)
            log.warning("round failed: %s", problem, extra=_fields(key, problem.cause))
        except TimeoutError:
            self._fail(key, "timeout", 0.0)
            log.warning(
                "round gave up after %g s", self._round_timeout, extra=_fields(key, "timeout")
            )
        except Exception:  # a bug in one object's round must not stop the others'; counted
            self._fail(key, "bug", 0.0)
            log.exception("round failed: bug in the operator", extra=_fields(key, "bug"))
        else:
            self._observer.finished(key, self._clock() - began)
            self._schedule.done(key, None if again is None else self._clock() + again)

    def _fail(self, key: K, cause: str, after: float) -> None:
        self._observer.failed(key, cause)
        self._schedule.failed(key, self._clock(), after)


def _fields(key: Hashable, cause: str) -> dict[str, str]:
    return {"event": "round-failed", "object": str(key), "cause": cause}

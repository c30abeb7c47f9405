"""The queue with its workers: real tasks, a clock of the test's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from callfleet_operator.handlers.queue import KeyedQueue
from callfleet_operator.reconcile.errors import RoundError

BOUND = 5.0


@dataclass
class Ends:
    """What the queue reports."""

    ended: list[tuple[str, str]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def finished(self, key: str, seconds: float) -> None:
        assert seconds >= 0
        self._note(key, "ok")

    def failed(self, key: str, cause: str) -> None:
        self._note(key, cause)

    def _note(self, key: str, result: str) -> None:
        self.ended.append((key, result))
        self.more.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(BOUND):
            while len(self.ended) < count:
                self.more.clear()
                await self.more.wait()


@asynccontextmanager
async def running(
    work: Callable[[str], Awaitable[float | None]],
    *,
    workers: int = 2,
    round_timeout: float = BOUND,
) -> AsyncIterator[tuple[KeyedQueue[str], Ends]]:
    ends = Ends()
    queue: KeyedQueue[str] = KeyedQueue(
        work,
        ends,
        workers=workers,
        round_timeout=round_timeout,
        clock=asyncio.get_running_loop().time,
        jitter=lambda: 0.0,
    )
    task = asyncio.create_task(queue.run())
    try:
        yield queue, ends
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_changes_that_come_together_cause_one_round() -> None:
    async def work(_key: str) -> float | None:
        return None

    async with running(work) as (queue, ends):
        for _ in range(100):
            queue.add("a", delay=0)
        await ends.wait_for(1)
        queue.add("end", delay=0)
        await ends.wait_for(2)
    assert ends.ended == [("a", "ok"), ("end", "ok")]


async def test_a_round_may_ask_to_be_repeated() -> None:
    async def work(_key: str) -> float | None:
        return 0.0 if len(ends.ended) < 4 else None

    async with running(work) as (queue, ends):
        queue.add("a", delay=0)
        await ends.wait_for(5)
    assert len(queue) == 0


async def test_a_key_is_never_worked_on_twice_at_once() -> None:
    active: set[str] = set()
    both = asyncio.Event()
    go_on = asyncio.Event()

    async def work(key: str) -> float | None:
        assert key not in active
        active.add(key)
        if active == {"a", "b"}:
            both.set()
        await go_on.wait()
        active.remove(key)
        return None

    async with running(work, workers=4) as (queue, ends):
        queue.add("a", delay=0)
        queue.add("b", delay=0)
        async with asyncio.timeout(BOUND):
            await both.wait()
        queue.add("a", delay=0)
        go_on.set()
        await ends.wait_for(3)
    assert sorted(ends.ended) == [("a", "ok"), ("a", "ok"), ("b", "ok")]


async def test_no_more_rounds_at_once_than_workers() -> None:
    active = 0
    most = 0

    async def work(_key: str) -> float | None:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0)
        active -= 1
        return None

    async with running(work, workers=3) as (queue, ends):
        for number in range(20):
            queue.add(str(number), delay=0)
        await ends.wait_for(20)
    assert most == 3


async def test_a_bug_is_logged_with_its_trace_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(key: str) -> float | None:
        if key == "broken":
            raise ZeroDivisionError("the bug")
        return None

    async with running(work, workers=1) as (queue, ends):
        queue.add("broken", delay=0)
        queue.add("fine", delay=0)
        await ends.wait_for(2)
        assert ends.ended == [("broken", "bug"), ("fine", "ok")]
        assert len(queue) == 1  # the broken one comes again
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.__dict__["object"] == "broken"


async def test_known_trouble_is_counted_by_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def work(_key: str) -> float | None:
        raise RoundError("api-unavailable", "kube-apiserver does not answer")

    async with running(work) as (queue, ends):
        queue.add("a", delay=0)
        await ends.wait_for(2)  # tried again after its backoff
    assert set(ends.ended) == {("a", "api-unavailable")}
    assert all(record.exc_info is None for record in caplog.records)


async def test_a_round_that_hangs_is_given_up() -> None:
    async def work(_key: str) -> float | None:
        await asyncio.Event().wait()
        return None

    async with running(work, round_timeout=0.01) as (queue, ends):
        queue.add("a", delay=0)
        await ends.wait_for(1)
    assert ends.ended[0] == ("a", "timeout")


async def test_the_longest_wait_shows_a_stuck_queue() -> None:
    now = 100.0

    async def work(_key: str) -> float | None:
        return None

    queue: KeyedQueue[str] = KeyedQueue(
        work, Ends(), workers=1, round_timeout=1.0, clock=lambda: now
    )
    queue.add("a", delay=5)
    assert queue.longest_wait() == 0.0
    now = 200.0
    assert queue.longest_wait() == 95.0

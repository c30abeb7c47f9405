"""Tasks that end when they should."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from callfleet_operator.gateway.errors import ForbiddenError, UnavailableError
from callfleet_operator.tasks import EndedError, before, patiently, running

BOUND = 10.0


async def test_a_task_ends_with_its_block() -> None:
    async with running(asyncio.Event().wait()) as task:
        assert not task.done()
    assert task.cancelled()


async def test_even_if_it_swallows_a_cancellation() -> None:
    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(BOUND):
        async with running(stubborn()) as task:
            await asyncio.sleep(0)
        assert task.cancelled()


async def test_work_is_done_before_the_end() -> None:
    async def work() -> int:
        return 7

    async with running(asyncio.Event().wait()) as end:
        assert await before(end, work()) == 7


async def test_work_is_given_up_at_the_end() -> None:
    end = asyncio.Event()
    async with running(end.wait()) as ending:
        asyncio.get_running_loop().call_soon(end.set)
        with pytest.raises(EndedError):
            await before(ending, asyncio.Event().wait())


async def test_patience_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server that is away is asked again, one that refuses is not."""
    monkeypatch.setattr("callfleet_operator.tasks._PATIENCE_FIRST", 0.01)
    answers: list[Exception | int] = [UnavailableError("get", 503, "away"), 7]

    async def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await patiently(ask) == 7
    answers += [ForbiddenError("get", 403, "no"), 7]
    with pytest.raises(ForbiddenError):
        await patiently(ask)

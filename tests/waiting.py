"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(
    condition: Callable[[], object], what: str | Callable[[], str] = "", *, within: float = 20.0
) -> None:
    """Wait until the condition holds, which may be a coroutine function.

    Raises:
        AssertionError: it did not within so many seconds; the text is `what`, or else shows the
            condition.
    """
    try:
        async with asyncio.timeout(within):
            while not await _holds(condition):  # noqa: ASYNC110  # whatever it is, it tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError as late:
        told = what if isinstance(what, str) else what()
        text = told or inspect.getsource(condition).strip()
        raise AssertionError(f"not within {within:g} s: {text}") from late


async def _holds(condition: Callable[[], object]) -> object:
    found = condition()
    return await found if inspect.isawaitable(found) else found


def eventually(attempt: Callable[[], T], *, within: float = 60.0) -> T:
    """Try until it fails no more; its result.

    What Kubernetes makes true it makes true soon: a Service leads nowhere for some moments after
    its pod is ready.

    Raises:
        Exception: that of the last try, which ended after so many seconds.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            return attempt()
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)

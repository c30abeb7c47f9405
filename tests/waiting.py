"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: it did not within so many seconds; the text shows the condition.
    """
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within} s: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(0.02)


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

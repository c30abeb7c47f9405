"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable


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

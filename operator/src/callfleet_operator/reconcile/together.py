"""Several things at once, none of which is cut short because another one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable


async def all_of(work: Iterable[Awaitable[None]]) -> None:
    """Await everything; raise the first error only when all has ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result

"""One line for each long step, with the time it usually takes, and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def step(what: str, usual: str) -> Iterator[None]:
    """Say on stderr that a step begins and, when it is through, its duration.

    `usual` is a measured time for people, such as "4 s" or "4.5 min on two cores".
    """
    print(f"{what} (usually {usual}) ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)

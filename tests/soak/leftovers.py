"""What a process holds: tasks, sockets, threads, objects of the media stack, memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("callfleet_engine", "aiortc", "aioice", "pylibsrtp")
PASSING = (
    "callfleet_engine.store",
    "aiortc.codecs",
    "aiortc.jitterbuffer",
    "aiortc.rtcrtpparameters",
)
"""Records on their way to the database, and what a client decodes with: a log record of a frame
that could not be decoded holds its decoder."""

DATABASE = ("aiosqlite", "_connection_worker_thread")
"""In names of tasks and threads: a busy machine makes the pool change connections."""

PAGE_BYTES = 4096
POOL = "asyncio_"
"""Threads of the event loop's own pool, which it keeps for reuse."""


@dataclass(frozen=True)
class Held:
    """One look at this process."""

    tasks: Counter[str]
    threads: Counter[str]
    sockets: int
    objects: Counter[str]
    """Instances by class, of classes of the packages above."""
    resident_bytes: int

    def more_than(self, before: Held) -> dict[str, int]:
        """What there is more of, by name; memory and what Python reuses is left out."""
        more = (self.tasks - before.tasks) + (self.threads - before.threads)
        more += self.objects - before.objects
        if self.sockets > before.sockets:
            more["sockets"] = self.sockets - before.sockets
        return dict(more)


def held() -> Held:
    """Look at this process. Linux only."""
    gc.collect()
    objects: Counter[str] = Counter()
    for one in gc.get_objects():
        module = str(type(one).__module__)
        if module.partition(".")[0] in PACKAGES and not module.startswith(PASSING):
            objects[f"{module}.{type(one).__qualname__}"] += 1
    tasks = [str(task.get_coro()).split(" at ")[0] for task in asyncio.all_tasks()]
    threads = [thread.name for thread in threading.enumerate()]
    return Held(
        tasks=Counter(name for name in tasks if not _of_database(name)),
        threads=Counter(
            name for name in threads if not name.startswith(POOL) and not _of_database(name)
        ),
        sockets=sum(_is_socket(entry) for entry in Path("/proc/self/fd").iterdir()),
        objects=objects,
        resident_bytes=_resident_bytes(),
    )


def _resident_bytes() -> int:
    """Without what the allocator has free: glibc keeps that, in pools of each decoder's thread."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def _of_database(name: str) -> bool:
    return any(part in name for part in DATABASE)


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except FileNotFoundError:  # the one that the folder was read by
        return False

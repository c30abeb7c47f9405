"""Files and folders that are made once: whole or not at all, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.paths import cache_root


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel lifts it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """`name` in the cache, made by `make(temporary path)` if it is not there yet.

    The temporary path becomes the final one by a rename, so that a killed maker leaves
    nothing that is taken for whole; what it did leave is removed by the next one.
    """
    target = cache_root() / name
    if target.exists():
        return target
    part = target.with_name(f".{target.name}.part")
    with locked(cache_root() / "locks" / name.replace("/", "_")):
        if target.exists():
            return target
        _remove(part)
        part.parent.mkdir(parents=True, exist_ok=True)
        make(part)
        part.replace(target)
    return target


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """An empty folder beside what is being made; one that a killed maker left is emptied."""
    folder = out.with_name(f"{out.name}.scratch")
    _remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def digest(*parts: bytes | str) -> str:
    """Twelve hex digits that name a content."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:12]

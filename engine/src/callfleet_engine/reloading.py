"""Files that are read again when they change, as mounted Secrets and ConfigMaps do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

Signature = tuple[tuple[str, int, int, int], ...]


class Reloading(Generic[T]):
    """The parsed content of a file or of a directory's files.

    Whoever asks for `value` gets it as it is now: asking costs a `stat`, reading again happens
    only after a change. A change that cannot be read leaves the last good value in use, and is
    logged once.
    """

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        """Raises whatever `read` raises: ValueError or OSError."""
        self._path = path
        self._read = read
        self._signature = signature(path)
        self._value = read(path)
        self.problem: str | None = None
        """What is wrong with the content as it stands; None when it is in use."""

    @property
    def value(self) -> T:
        """The content as it is now, or as it last was good."""
        try:
            current = signature(self._path)
            if current != self._signature:
                self._signature = current
                self._value = self._read(self._path)
                self.problem = None
                logger.info("read again after a change", extra={"path": str(self._path)})
        except (OSError, ValueError) as error:
            if self.problem is None or self.problem != str(error):
                self.problem = str(error)
                logger.error(  # noqa: TRY400 - the text says it all; a trace adds nothing
                    "a changed file cannot be used, the last good content stays in force",
                    extra={"path": str(self._path), "error": self.problem},
                )
        return self._value


def signature(path: Path) -> Signature:
    """What changes whenever the content does: names, inodes, sizes, times.

    Names that begin with a dot are left out: the kubelet keeps its own copies under such.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files if not file.name.startswith(".")]
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)

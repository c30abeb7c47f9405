"""A mounted file that may be replaced at any time, as kubelet does with Secrets."""

from __future__ import annotations

import os
from pathlib import Path

MAX_BYTES = 1 << 20


class WatchedFile:
    """Knows whether the file has changed since it was last read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> str:
        """The file's text. Raises OSError, ValueError (too long, not UTF-8)."""
        with self.path.open("rb") as file:
            self._seen = _fingerprint(os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it is longer than {MAX_BYTES} bytes")
        return data.decode()

    def has_changed(self) -> bool:
        """Whether there is another file, or another text, than at the last reading.

        False while there is none: a mount is replaced in two steps.
        """
        try:
            return _fingerprint(self.path.stat()) != self._seen
        except FileNotFoundError:
            return False
        except OSError:
            return True  # reading it will say what is wrong


def _fingerprint(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_mtime_ns, stat.st_ino, stat.st_size

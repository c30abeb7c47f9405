"""Mounted files that may be replaced at any time, as kubelet does with Secrets."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 20


class WatchedFile:
    """Knows whether the file has changed since it was last read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> str:
        """The file's text. Raises OSError, ValueError (too long, not UTF-8)."""
        with suppress(OSError):
            self._seen = _fingerprint(self.path.stat())  # also of what cannot be opened
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


class Source(Protocol):
    """What settings are taken from while the process runs."""

    name: str
    """For logs and figures, such as `admin_keys`."""
    path: Path

    def has_changed(self) -> bool:
        """Whether there is something else than what was read last."""

    def load(self) -> Mapping[str, object]:
        """Read it, and take it if it can be used; what is worth saying of it in a log.

        Raises OSError, ValueError: then what was taken before stays.
        """


class TextSource:
    """A `Source` that is one text file."""

    def __init__(self, name: str, path: Path, take: Callable[[str], Mapping[str, object]]) -> None:
        """`take` does what `Source.load` says with the text."""
        self.name = name
        self.path = path
        self._file = WatchedFile(path)
        self._take = take

    def has_changed(self) -> bool:
        return self._file.has_changed()

    def load(self) -> Mapping[str, object]:
        return self._take(self._file.read())


class UnusableFileError(ValueError):
    """A file cannot be used at the start; the message names the flag."""


class Followed:
    """Sources that are read again when they change, or when asked for."""

    def __init__(self) -> None:
        self.readings: Counter[tuple[str, str]] = Counter()
        """By name of the source and result, `ok` or `failed`."""
        self.usable: dict[str, bool] = {}
        """Whether the last reading of each source could be used."""
        self._sources: list[Source] = []

    def follow(self, flag: str, source: Source) -> None:
        """Read a source for the first time. Raises `UnusableFileError`."""
        try:
            source.load()
        except OSError as error:
            path = error.filename or source.path
            raise UnusableFileError(
                f"{flag} {path}: {error.strerror}: name a file that this user can read"
            ) from error
        except ValueError as error:
            raise UnusableFileError(f"{flag} {source.path}: {error}") from error
        self._sources.append(source)
        self._note(source, usable=True)
        self.readings[source.name, "failed"] = 0

    def check(self) -> None:
        """Read what has changed."""
        for source in self._sources:
            if source.has_changed():
                self._load(source)

    def reload(self) -> None:
        """Read everything, changed or not, and say what was taken."""
        results = {source.name: self._load(source) for source in self._sources}
        logger.info(
            "reloaded; flags and environment variables are read at a start only",
            extra={
                "taken": [name for name, usable in results.items() if usable],
                "unusable": [name for name, usable in results.items() if not usable],
            },
        )

    def _load(self, source: Source) -> bool:
        try:
            said = self._load_settled(source)
        except (OSError, ValueError) as error:
            logger.error(  # noqa: TRY400 - a mistake in a file, not a bug: no trace
                "%s not usable, what was read before stays: %s",
                source.name.replace("_", " "),
                error,
                extra={"file": str(source.path)},
            )
            self._note(source, usable=False)
            return False
        logger.info("%s read", source.name.replace("_", " "), extra=said)
        self._note(source, usable=True)
        return True

    @staticmethod
    def _load_settled(source: Source) -> Mapping[str, object]:
        """Load; once more where it was replaced while it was read."""
        try:
            return source.load()
        except (OSError, ValueError):
            if not source.has_changed():
                raise
        return source.load()

    def _note(self, source: Source, *, usable: bool) -> None:
        self.readings[source.name, "ok" if usable else "failed"] += 1
        self.usable[source.name] = usable


def _fingerprint(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ctime_ns, stat.st_ino, stat.st_size  # ctime: permissions count too

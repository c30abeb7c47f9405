"""Everything that happened in a run, in order, as one JSON document."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Timeline:
    """Collects entries from any thread."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 (JSON values)
        """Note that something happened now."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            self.entries.append({"at": at, "kind": kind, **fields})

    def of(self, kind: str) -> list[Entry]:
        """All entries of one kind so far."""
        with self._lock:
            return [entry for entry in self.entries if entry["kind"] == kind]

    def write(self, path: Path) -> None:
        """Save it."""
        with self._lock:
            path.write_text(json.dumps(self.entries, indent=1) + "\n")

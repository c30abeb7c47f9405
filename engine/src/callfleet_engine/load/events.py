"""What a run reports, one JSON object a line: the log that a demo or a person follows."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import IO, Any


class EventLog:
    """Writes events and counts them by name."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self.counts: Counter[str] = Counter()

    def write(self, event: str, **fields: Any) -> None:  # noqa: ANN401 (JSON values)
        """Report one event; `fields` must be JSON."""
        self.counts[event] += 1
        if self._stream is None:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._stream.write(json.dumps({"at": at, "event": event, **fields}) + "\n")
        self._stream.flush()

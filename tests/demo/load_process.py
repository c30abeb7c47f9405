"""`callfleet load`, run at the client and led through its scenario."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class LoadProcess:
    """The running load: commands in, events out."""

    def __init__(
        self, command: Sequence[str], log: Path, on_event: Callable[[Event], None]
    ) -> None:
        """`command` is `callfleet load ... --events - --control`; `log` takes its errors."""
        self.events: list[Event] = []
        self.counts: Counter[str] = Counter()
        self.sample: Event = {}
        self._on_event = on_event
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "--", *command],  # should we be killed
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self.events.append(event)
            self.counts[event["event"]] += 1
            if event["event"] == "sample":
                self.sample = event
            else:
                self._on_event(event)

    def command(self, **fields: str) -> None:
        """Send a command, such as command="next".

        Raises:
            RuntimeError: the load has ended.
        """
        if self._process.poll() is not None or self._process.stdin is None:
            raise RuntimeError(f"callfleet load ended with {self._process.returncode}: {self.log}")
        self._process.stdin.write(json.dumps(fields) + "\n")
        self._process.stdin.flush()

    @property
    def log(self) -> str:
        """The last lines of what it wrote to standard error."""
        return "\n".join(Path(self._log.name).read_text().splitlines()[-15:])

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def reached(self, phase: str) -> bool:
        """The phase has come to where it wanted to be."""
        return any(
            event["event"] == "phase-reached" and event["phase"] == phase for event in self.events
        )

    def calls_on(self, pod: str) -> list[Event]:
        """The calls of one pod as the last sample has them."""
        return [call for call in self.sample.get("calls", []) if call["pod"] == pod]

    def finish(self, timeout: float = 60) -> int:
        """Wait for its end; its exit code. A load that does not end is ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
        return self._process.returncode

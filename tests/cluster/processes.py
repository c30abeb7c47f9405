"""The processes of one run, known for certain, so that none is missed and no stranger hit.

A process writes its own line of /proc/PID/stat into a record before it becomes the program
it is to be: pid and start time together name one process for ever. While it has not written
the record it holds a shared lock, which `kill` waits for: whoever was killed while starting
processes, nothing started escapes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import HarnessError

# The lock is standard input: it is let go when /dev/null takes its place.
RECORD_THEN_EXEC = 'read -r s </proc/self/stat && echo "$s" >"$0" && exec "$@" </dev/null'
# For a command that starts another one which records itself and lets go of the lock then.
RECORD_AND_KEEP_LOCK = 'read -r s </proc/self/stat && echo "$s" >"$0" && exec "$@"'
POLL_SECONDS = 0.05
RECORD_POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Identity:
    """What names one process for ever (as long as the machine is up)."""

    pid: int
    start_ticks: int


def identity_of(pid: int) -> Identity | None:
    """The living process of that number; None if there is none, or only a zombie."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return None


def parse_stat(line: str) -> Identity | None:
    """Read a line of /proc/PID/stat (proc(5)); None for a zombie or a torn line."""
    head, closed, tail = line.rpartition(")")
    fields = tail.split()
    if not closed or len(fields) < 20 or fields[0] in "ZX":
        return None
    return Identity(int(head.split()[0]), int(fields[19]))


class Processes:
    """Programs that outlive the process that starts them, recorded below one directory."""

    def __init__(self, directory: Path) -> None:
        self.records = directory / "pids"
        self.logs = directory / "logs"
        self._lock = directory / "spawn.lock"
        self._children: list[subprocess.Popen[bytes]] = []  # to be reaped

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        die_with_parent: bool = False,
        records_itself: bool = False,
    ) -> None:
        """Start a program and return when it is recorded; its output goes to logs/NAME.log.

        With `die_with_parent` the kernel ends it when the calling thread ends.
        With `records_itself` the program starts the process that matters, which must write
        its own record and close its standard input.
        """
        for folder in (self.records, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        script = RECORD_AND_KEEP_LOCK if records_itself else RECORD_THEN_EXEC
        prefix = ("setpriv", "--pdeathsig=KILL", "--") if die_with_parent else ()
        record = self.records / name
        record.unlink(missing_ok=True)
        command = [*prefix, "sh", "-c", script, str(record), *map(str, argv)]
        with self._lock.open("a") as lock, (self.logs / f"{name}.log").open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_SH)
            child = subprocess.Popen(
                command,
                stdin=lock,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        while child.poll() is None and not (record.exists() and parse_stat(record.read_text())):
            time.sleep(RECORD_POLL_SECONDS)

    def living(self) -> dict[str, int]:
        """Pids of the recorded processes that still run, by name."""
        found = {}
        for record in sorted(self.records.glob("*")):
            try:
                was = parse_stat(record.read_text())
            except FileNotFoundError:
                continue  # another process just removes the run
            if was is not None and identity_of(was.pid) == was:
                found[record.name] = was.pid
        return found

    def kill(self, timeout_seconds: float = 20) -> None:
        """End all of them and return when they are gone.

        SIGKILL: the data is thrown away, so an orderly end wins nothing.
        """
        deadline = time.monotonic() + timeout_seconds
        self._await_records(deadline)
        while living := self.living():
            for pid in living.values():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > deadline:
                raise HarnessError(f"still running after SIGKILL: {living}")
            time.sleep(POLL_SECONDS)
        for child in self._children:
            child.wait(timeout=max(0.1, deadline - time.monotonic()))
        self._children.clear()

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a program's output, for messages."""
        path = self.logs / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(no output)"

    def _await_records(self, deadline: float) -> None:
        if not self._lock.exists():
            return
        with self._lock.open() as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise HarnessError(
                            f"{self._lock} is held: a process never recorded itself"
                        ) from None
                    time.sleep(POLL_SECONDS)
                else:
                    return

"""One run of a cluster: its directory, its processes and the way into its namespaces."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import BusyError, HarnessError
from tests.cluster.processes import Identity, Processes, identity_of, parse_stat

MARK = ".callfleet-run"
OWNER = "owner"
READY = "ready"
POLL_SECONDS = 0.1


class Run:
    """Everything that one cluster makes lies in one directory and is known from there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.processes = Processes(self.directory)
        self.enter: tuple[str, ...] = ()
        """Command prefix that enters the namespaces the processes live in."""
        self.die_with_parent = False

    # The directory

    @contextmanager
    def verb(self) -> Iterator[None]:
        """Hold the run for one verb (up, down); the kernel lets go of it when we die.

        Raises BusyError if another process holds it.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file().open("w") as file:
            if not _try_lock(file.fileno()) or not _is_still(file.fileno(), self._lock_file()):
                raise BusyError(
                    f"{self.directory} is just being started or ended by another process: "
                    "wait for it, or end that process first"
                )
            yield
            if not self.directory.exists():
                self._lock_file().unlink(missing_ok=True)

    def is_busy(self) -> bool:
        """Another process is starting or ending it."""
        try:
            with self._lock_file().open() as file:
                return not _try_lock(file.fileno())
        except FileNotFoundError:
            return False

    def _lock_file(self) -> Path:
        return self.directory.with_name(f".{self.directory.name}.lock")

    def claim(self, kind: str, *, owned: bool) -> None:
        """Make the directory; an owned run is a leftover once this process has ended."""
        if self.exists():
            raise HarnessError(f"{self.directory} is in use: end it first (`down`, `clean`)")
        self.directory.mkdir(mode=0o700, exist_ok=True)
        if any(self.directory.iterdir()):
            raise HarnessError(f"{self.directory} is not empty and no cluster's: name another")
        (self.directory / MARK).write_text(kind)
        if owned:
            (self.directory / OWNER).write_text(Path("/proc/self/stat").read_text())
            self.die_with_parent = True

    def exists(self) -> bool:
        return (self.directory / MARK).exists()

    def kind(self) -> str:
        """What `claim` was told; empty if it was killed just then, or if there is no run."""
        return _text_of(self.directory / MARK) or ""

    def is_ready(self) -> bool:
        return (self.directory / READY).exists()

    def owner(self) -> Identity | None:
        """Who the run belongs to, dead or alive; None for one that outlives its `up`."""
        record = _text_of(self.directory / OWNER)
        return None if record is None else parse_stat(record)

    def is_left_over(self) -> bool:
        """Nobody will take it down: its owner died, or its `up` did, or its processes did."""
        owner = self.owner()
        if owner is not None and identity_of(owner.pid) != owner:
            return True
        if self.processes.records.exists() and not self.processes.living():
            return True
        return not self.is_ready()

    def state(self) -> str:
        """For people: up, starting or ending, left over, down."""
        if self.is_busy():
            return "starting or ending"
        if not self.exists():
            return "down"
        return "left over" if self.is_left_over() else "up"

    def end(self) -> None:
        """End its processes. It is a leftover from here on, should this be killed half-way."""
        (self.directory / READY).unlink(missing_ok=True)
        self.processes.kill()

    def remove(self) -> None:
        """Delete the directory; the mark goes last, so that a killed removal can be repeated."""
        if not self.exists():
            return
        for child in self.directory.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            elif child.name != MARK:
                child.unlink()
        (self.directory / MARK).unlink()
        self.directory.rmdir()

    # Programs

    def spawn(self, name: str, *argv: str | Path) -> None:
        """Start a program inside the namespaces that outlives this call."""
        command = [*self.enter, *argv]
        self.processes.spawn(name, command, die_with_parent=self.die_with_parent)

    def run(
        self, *argv: str | Path, check: bool = True, timeout_seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a short command inside the namespaces and return its output."""
        command = [*self.enter, *map(str, argv)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout_seconds
        )
        if check and done.returncode:
            raise HarnessError(f"{' '.join(map(str, argv))}: {done.stderr or done.stdout}")
        return done

    def wait(
        self,
        what: str,
        argv: Sequence[str | Path],
        *,
        needs: Sequence[str] = (),
        timeout_seconds: float = 60,
    ) -> None:
        """Repeat a command until it succeeds, as long as the programs it needs run."""
        deadline = time.monotonic() + timeout_seconds
        while (last := self.run(*argv, check=False)).returncode:
            for name in needs:
                if name not in self.processes.living():
                    raise ProgramDiedError(name, self.processes.log_tail(name))
            if time.monotonic() > deadline:
                logs = "\n".join(f"{n}: {self.processes.log_tail(n)}" for n in needs)
                raise HarnessError(
                    f"{what}: not within {timeout_seconds:.0f} s: "
                    f"{last.stderr or last.stdout}\n{logs}"
                )
            time.sleep(POLL_SECONDS)


def _text_of(file: Path) -> str | None:
    """None if there is no such file, or if another process removed it just now."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether the open file has not been unlinked, or replaced, by who held it before."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


class ProgramDiedError(HarnessError):
    """A program of the run ended while something waited for it."""

    def __init__(self, name: str, log: str) -> None:
        super().__init__(f"{name} ended; the end of its log:\n{log}")
        self.log = log


def memory_of(processes: Processes) -> dict[str, int]:
    """Resident memory of each program in MB."""
    return {name: _resident(_program_of(pid)) for name, pid in processes.living().items()}


def _program_of(pid: int) -> int:
    if Path(f"/proc/{pid}/exe").readlink().name != "nsenter":
        return pid
    # It waits for what it started.
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024

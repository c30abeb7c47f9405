"""A private PostgreSQL server for tests, run from Debian's programs.

It listens on a loopback port and a socket in its own directory, and belongs to the test run: it is
started, stopped and frozen by the ids of its processes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.ports import free_port

USER = "callfleet"
START_SECONDS = 30
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
_numbers = count(1)


class PrivatePostgresql:
    """A server with a data directory of its own; databases are made as they are needed."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        # PostgreSQL refuses to run as root.
        self._account = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def create(self) -> None:
        """Make the data directory."""
        shutil.chown(self._directory, self._account)
        self._run("initdb", "--pgdata", self._data, "--username", USER, "--auth", "trust", "-N")

    def start(self, *settings: str) -> None:
        """Start the server and wait until it answers."""
        options = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self._directory}",
            *settings,
        )
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *_each("-c", options)],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                user=self._account if os.geteuid() == 0 else None,
            )
        deadline = time.monotonic() + START_SECONDS
        while self._probe() != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {self.log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut down at once: connections are ended, what is committed stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_SECONDS)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server keeps its connections and answers nothing."""
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        stopped: list[int] = []
        try:
            for pid in (parent, *map(int, children)):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):  # it was about to end when it was stopped
                    os.kill(pid, signal.SIGCONT)

    def new_database(self) -> str:
        """URL of a fresh, empty database."""
        name = f"calls_{next(_numbers)}"
        self._run("createdb", "--host", self._directory, "--port", self.port, "-U", USER, name)
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def log(self) -> str:
        """The end of what the server has said."""
        return (self._directory / "log").read_text(errors="replace")[-4000:]

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _probe(self) -> int:
        return subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        ).returncode

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self._directory,
            user=self._account if os.geteuid() == 0 else None,
        )
        if done.returncode:
            pytest.fail(f"{program} failed: {done.stdout}{done.stderr}")


@contextmanager
def private_postgresql(*settings: str) -> Iterator[PrivatePostgresql]:
    """A running server, gone afterwards. Not in pytest's directories: those are root's alone."""
    if not _PROGRAMS:
        pytest.fail("These tests need PostgreSQL's programs: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="callfleet-postgresql-") as directory:
        server = PrivatePostgresql(_PROGRAMS[-1], Path(directory))
        server.create()
        try:
            server.start(*settings)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PrivatePostgresql]:
    """One server for all tests that only need a database. They must leave it running."""
    with private_postgresql("fsync=off") as server:
        yield server


def _each(flag: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (flag, value)]

"""Processes are known for certain, started and ended without a gap."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.errors import HarnessError
from tests.cluster.processes import Identity, Processes, identity_of, parse_stat
from tests.cluster.run import ProgramDiedError, Run


def test_a_line_of_stat_names_pid_and_start() -> None:
    tail = " ".join(["S", *(["1"] * 18), "4711", "0"])
    assert parse_stat(f"12 (a) b) {tail}") == Identity(12, 4711)


@pytest.mark.parametrize("line", ["", "12 (sh", "12 (sh) S 1 2", "12 (sh) Z " + "1 " * 30])
def test_a_torn_line_and_a_zombie_name_nobody(line: str) -> None:
    assert parse_stat(line) is None


def test_what_is_spawned_lives_until_it_is_killed(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.spawn("sleeper", ["sleep", "infinity"])
    (pid,) = processes.living().values()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").read_bytes() != b"sleep\0infinity\0":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    processes.kill()
    assert processes.living() == {}
    assert identity_of(pid) is None


def test_a_stranger_with_the_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.records.mkdir()
    mine = Path("/proc/self/stat").read_text()
    other_start = parse_stat(mine)
    assert other_start is not None
    forged = mine.replace(f" {other_start.start_ticks} ", f" {other_start.start_ticks - 1} ")
    (processes.records / "stranger").write_text(forged)
    assert processes.living() == {}
    processes.kill()  # does not end this test


def test_kill_waits_for_who_has_not_recorded_itself_yet(tmp_path: Path) -> None:
    """A starter that was killed may leave a child that holds the lock and is no record yet."""
    processes = Processes(tmp_path)
    processes.records.mkdir()
    lock = (tmp_path / "spawn.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    go, proceed = os.pipe()
    record = processes.records / "late"
    script = (
        'read -r _ <&"$1"; read -r s </proc/self/stat; echo "$s" >"$0"; exec sleep 60 </dev/null'
    )
    child = subprocess.Popen(["bash", "-c", script, record, str(go)], stdin=lock, pass_fds=[go])
    lock.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        killing = pool.submit(processes.kill)
        with pytest.raises(TimeoutError):
            killing.result(timeout=0.2)
        assert child.poll() is None
        os.write(proceed, b"\n")
        killing.result(timeout=20)

    assert child.wait(timeout=20) == -signal.SIGKILL
    os.close(go)
    os.close(proceed)


def test_kill_gives_up_on_a_lock_that_is_never_let_go(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    with (tmp_path / "spawn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(HarnessError, match="never recorded itself"):
            processes.kill(timeout_seconds=0.1)


def test_waiting_ends_at_once_when_a_needed_program_died(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.claim("test", owned=False)
    run.spawn("server", "sh", "-c", "echo no such file; exit 3")
    with pytest.raises(ProgramDiedError, match="no such file"):
        run.wait("the server", ("false",), needs=("server",))
    run.end()


def test_a_directory_that_is_not_ours_is_neither_taken_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").touch()
    run = Run(tmp_path / "run")
    with pytest.raises(HarnessError, match="not empty"):
        run.claim("test", owned=False)
    run.remove()
    assert (tmp_path / "run/thesis.txt").exists()

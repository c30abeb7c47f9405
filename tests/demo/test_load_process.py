"""The load must not outlive the demo, however that ends, and leave nothing open in it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.processes import identity_of
from tests.demo.load_process import Event, LoadProcess

pytestmark = pytest.mark.peer

DEMO = """
import sys, time
from pathlib import Path
from tests.demo.load_process import LoadProcess
script = "echo '{\\"event\\": \\"started\\", \\"pid\\": '$$'}'; exec sleep 60"
LoadProcess(["sh", "-c", script], Path(sys.argv[1]), lambda event: print(event["pid"], flush=True))
time.sleep(60)
"""
WITHIN_SECONDS = 20


def test_the_load_of_a_killed_demo_is_gone(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    argv = [sys.executable, "-c", DEMO, str(tmp_path / "load.log")]
    with subprocess.Popen(argv, cwd=checkout, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        load = int(demo.stdout.readline())
        running = identity_of(load)
        assert running is not None
        demo.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + WITHIN_SECONDS
    while identity_of(load) == running:
        assert time.monotonic() < deadline, f"{load} still runs"
        time.sleep(0.02)


def test_an_ended_load_leaves_no_pipe_open(tmp_path: Path) -> None:
    seen: list[Event] = []
    before = _pipes()

    load = LoadProcess(["echo", '{"event": "started"}'], tmp_path / "load.log", seen.append)

    assert load.finish() == 0
    assert seen == [{"event": "started"}]
    assert _pipes() <= before


def _pipes() -> set[str]:
    files = (file.resolve().name for file in Path("/proc/self/fd").iterdir())
    return {name for name in files if name.startswith("pipe:")}

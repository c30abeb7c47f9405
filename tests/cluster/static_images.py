"""The two images that a node itself needs: the pods' pause program and CoreDNS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster import go_programs
from tests.cluster.archive import write_single_program
from tests.cluster.cache import digest, made_once, scratch
from tests.cluster.errors import HarnessError

PAUSE_SOURCE = Path(__file__).parent / "pause.c"
PAUSE = "localhost/pause:1"
COREDNS = f"localhost/coredns:{go_programs.COREDNS.version}"
NOBODY = 65532


def pause_archive() -> Path:
    return made_once(f"images/pause-{digest(PAUSE_SOURCE.read_bytes())}.tar", _build_pause)


def coredns_archive() -> Path:
    program = go_programs.COREDNS.path()
    return made_once(
        f"images/{program.name}.tar",
        lambda out: write_single_program(out, COREDNS, program, "coredns", NOBODY),
    )


def _build_pause(out: Path) -> None:
    with scratch(out) as folder:
        program = folder / "pause"
        argv = ["gcc", "-Os", "-static", "-o", str(program), str(PAUSE_SOURCE)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HarnessError(f"the pause program was not built: {done.stderr}")
        write_single_program(out, PAUSE, program, "pause", NOBODY)

"""The control groups of one run: the one thing that outlives its namespaces."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.errors import HarnessError

POLL_SECONDS = 0.02
# Media that is late is lost: pods go before what else the machine is at, by eight to one.
WEIGHTS = {"cpu.shares": "8192", "cpu.weight": "800"}


def create(name: str) -> None:
    """Make the run's group in every mounted hierarchy (cgroups(7), version 1 and 2)."""
    for group in _groups(name):
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts with none
            if (group / setting).exists() and not (group / setting).read_text().strip():
                (group / setting).write_text((group.parent / setting).read_text())
        for setting, weight in WEIGHTS.items():
            if (group / setting).exists():
                (group / setting).write_text(weight)


def remove(name: str, timeout_seconds: float = 20) -> None:
    """Remove the run's groups and all below them."""
    deadline = time.monotonic() + timeout_seconds
    for group in _groups(name):
        while group.exists():
            stuck = _remove_below(group)
            if stuck and time.monotonic() > deadline:
                raise HarnessError(f"{group} cannot be removed: {stuck}")
            if stuck:
                time.sleep(POLL_SECONDS)  # the last of its processes is still on its way out


def _remove_below(group: Path) -> OSError | None:
    for path, _, _ in os.walk(group, topdown=False):
        try:
            Path(path).rmdir()
        except OSError as error:
            return error
    return None


def _groups(name: str) -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith(("cgroup ", "cgroup2 ")):
            yield Path(before.split()[4]) / name

"""The processes of a measurement, ended with the block that started them or with this process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import HarnessError
from tests.ports import free_ports

STARTED_WITHIN = 60.0
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig=KILL", "--")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PROMETHEUS = """
global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}
scrape_configs:
- job_name: pods
  honor_labels: true
  static_configs: [{{targets: ["{address}:{port}"]}}]
"""


@dataclass(frozen=True)
class Operator:
    """A process `callfleet-operator run`."""

    process: asyncio.subprocess.Process
    pages: str
    """Address of its pages."""

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its threads (proc(5), stat: utime and stime)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def resident(self) -> tuple[float, float]:
        """Resident memory now, and at its highest, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        figures = dict(line.split(":", 1) for line in status.splitlines())
        now, peak = (int(figures[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, peak


@asynccontextmanager
async def operator(
    kubeconfig: Path, prometheus: str, log: Path, tick: int, namespaces: Sequence[str] = ()
) -> AsyncIterator[Operator]:
    """The operator for some namespaces or all, as the chart runs it but for where it listens."""
    command = [
        *(sys.executable, "-m", "callfleet_operator", "run"),
        "--operator-namespace=callfleet-system",
        f"--prometheus-url={prometheus}",
        "--engine-image=example.org/engine:1",
        "--relay-image=example.org/relay:1",
        "--metrics=127.0.0.1:0",
        f"--tick-seconds={tick}",
        # On a machine with no time left for it an operator with a Lease ends, as it should.
        "--no-leader-election",
        *(f"--namespace={name}" for name in namespaces),
    ]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    async with _process(command, log, environment) as (process, line):
        yield Operator(process, json.loads(line)["metrics"])


@asynccontextmanager
async def pods_stand_in(page: Path, address: str, log: Path) -> AsyncIterator[int]:
    """`tests.scale.stand_in`; yields the port of its metrics."""
    command = [sys.executable, "-m", "tests.scale.stand_in", str(page), address]
    async with _process(command, log) as (_, line):
        yield int(line)


@asynccontextmanager
async def prometheus(directory: Path, address: str, port: int, interval: int) -> AsyncIterator[str]:
    """A real one, in its own directory; yields its address."""
    program = shutil.which("prometheus")
    if program is None:
        raise HarnessError(
            "prometheus is missing: apt-get install --no-install-recommends prometheus"
        )
    config = directory / "prometheus.yml"
    config.write_text(PROMETHEUS.format(interval=interval, address=address, port=port))
    (own,) = free_ports(1)
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    async with _process(command, directory / "prometheus.log", says=False):
        yield f"http://127.0.0.1:{own}"


@asynccontextmanager
async def _process(
    command: list[str], log: Path, environment: dict[str, str] | None = None, *, says: bool = True
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *_DIE_WITH_PARENT,
            *command,
            env=environment,
            stdout=asyncio.subprocess.PIPE if says else output,
            stderr=output,
        )
    try:
        line = ""
        if says:
            assert process.stdout is not None
            async with asyncio.timeout(STARTED_WITHIN):
                line = (await process.stdout.readline()).decode()
            if not line:
                raise HarnessError(f"{command[0]} has ended: {_end_of(log)}")
        yield process, line
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(30):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _end_of(log: Path) -> str:
    return log.read_text()[-2000:]

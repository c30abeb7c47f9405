"""Operators as processes of their own: `callfleet-operator run`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import waiting
from tests.callfleet_operator.reconcile.world import World

BOUND = 60.0
"""Seconds until whatever is waited for must have come about."""


@dataclass
class Operator:
    """A process."""

    process: asyncio.subprocess.Process
    log: Path
    address: str = ""
    """Of its pages."""

    async def listening(self) -> None:
        """Wait until it serves its pages."""
        assert self.process.stdout is not None
        async with asyncio.timeout(BOUND):
            line = await self.process.stdout.readline()
        assert line, self.log.read_text()
        said = json.loads(line)
        assert said["event"] == "listening"
        self.address = said["metrics"]

    async def page(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.address}{path}") as response,
        ):
            return response.status, await response.text()

    async def leads(self) -> bool:
        """As its metric says."""
        _, metrics = await self.page("/metrics")
        return "callfleet_operator_leader 1.0" in metrics

    async def exit_code(self) -> int:
        async with asyncio.timeout(BOUND):
            return await self.process.wait()

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """What it has logged, or only what has this event."""
        found = [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
        ]
        return [line for line in found if event in ("", line.get("event"))]


def arguments(world: World, prometheus_url: str, *more: str) -> list[str]:
    return [
        "run",
        f"--namespace={world.namespace}",
        f"--operator-namespace={world.namespace}",
        f"--prometheus-url={prometheus_url}",
        "--engine-image=example.org/engine:1",
        "--relay-image=example.org/relay:1",
        "--metrics=127.0.0.1:0",
        "--tick-seconds=1",
        *more,
    ]


@asynccontextmanager
async def operator(kubeconfig: Path, log: Path, *options: str) -> AsyncIterator[Operator]:
    """It runs until it ends by itself or the block is left, and may be stopped meanwhile."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "callfleet_operator",
            *options,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        yield Operator(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition: Callable[[], Awaitable[bool]], what: str, *operators: Operator) -> None:
    """Wait for something that comes about in other processes."""
    try:
        await waiting.until(condition, within=BOUND)
    except AssertionError:
        logs = "\n".join(one.log.read_text()[-4000:] for one in operators)
        pytest.fail(f"{what} did not come about:\n{logs}")

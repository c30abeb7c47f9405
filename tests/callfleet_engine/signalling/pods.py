"""Several engine pods that share a database."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from callfleet_engine.engine import Engine
from callfleet_engine.settings import Settings
from tests.callfleet_engine.engines import settings, until

HEARTBEAT_SECONDS = 0.5
"""Three of them are longer than a busy machine holds a process up."""

START_SECONDS = 60.0


def pod(directory: Path, database: str, uid: str, **changes: object) -> Settings:
    given = {"heartbeat_seconds": HEARTBEAT_SECONDS, **changes}
    return settings(directory, database=database, pod_uid=uid, pod_name=f"pod-{uid}", **given)


async def know_each_other(*engines: Engine) -> None:
    for engine in engines:
        await knows(engine, len(engines) - 1)


async def knows(engine: Engine, others: int) -> None:
    await until(lambda: len(engine.parts.peers.candidates()) == others, "heartbeats")


@asynccontextmanager
async def process(
    directory: Path, database: str, uid: str, *more: str
) -> AsyncIterator[tuple[Process, dict[str, str]]]:
    """An engine in a process of its own, and where it listens."""
    ports = [
        word for flag in ("listen", "metrics", "admin") for word in (f"--{flag}", "127.0.0.1:0")
    ]
    engine = await asyncio.create_subprocess_exec(
        sys.executable,
        *(
            "-m",
            "callfleet_engine",
            "--open",
            "--heartbeat-seconds",
            str(HEARTBEAT_SECONDS),
            *ports,
        ),
        *("--database", database, "--pod-uid", uid, *more),
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        stdout=PIPE,
    )
    try:
        assert engine.stdout is not None
        line = await asyncio.wait_for(engine.stdout.readline(), START_SECONDS)
        yield engine, json.loads(line)
    finally:
        if engine.returncode is None:
            engine.kill()
        await engine.wait()

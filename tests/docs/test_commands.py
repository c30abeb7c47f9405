"""Every command in the documents for who is on call runs as it is written, on a real API server.

Those that look at the operator's own pods run on a whole cluster (`tests/demo/test_operations.py`).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from callfleet_operator.cli import main
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World
from tests.cluster.clients import kubectl
from tests.docs.commands import OF_THE_OPERATOR, commands, filled_in

pytestmark = [pytest.mark.api, pytest.mark.peer]

MAY_FIND_SOMETHING = ("callfleet doctor",)
"""Ends with 1 if there is a problem, and here there is no operator."""


@pytest.fixture
async def reader(blind: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Somebody with the fleets of the documents, who stands in their namespace."""
    cluster, pool = await make_cluster(blind), await make_pool(blind)
    await blind.settle(cluster, pool)
    for pod in blind.pods.values():
        pod.used = 10
    await blind.settle(cluster, rounds=2)  # the second decision
    config = tmp_path / "kubeconfig"
    shutil.copy(blind.api.kubeconfig, config)
    context = ("config", "set-context", "--current", f"--namespace={blind.namespace}")
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv(
        "PATH", f"{kubectl().parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    monkeypatch.chdir(tmp_path)
    assert await _shell(shlex.join(["kubectl", *context])) == (0, "")
    return blind


@pytest.mark.parametrize("page", ["operations", "troubleshooting"])
async def test_they_run_as_they_are_written(reader: World, page: str) -> None:
    for command in commands(page):
        if OF_THE_OPERATOR in command:
            continue
        name = "relays" if "turnpool" in command else "calls"
        words = {"NAMESPACE": reader.namespace, "NAME": name, "KIND": "callcluster"}
        words |= {"POD": "calls-engine-0", "NODE": "node-that-is-lost"}
        code, said = await _run(filled_in(command, words))
        found_something = code == 1 and command.startswith(MAY_FIND_SOMETHING)
        assert code == 0 or found_something, f"{command}\n{said}"


async def _run(command: str) -> tuple[int, str]:
    program, *arguments = shlex.split(command)
    if program != "callfleet":
        return await _shell(command)
    if "--watch" in arguments:
        return await _interrupted(command)
    ran = await asyncio.to_thread(CliRunner().invoke, main, arguments, prog_name=program)
    return ran.exit_code, ran.output


async def _shell(command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-o", "pipefail", "-c", command),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def _interrupted(command: str) -> tuple[int, str]:
    """Of one that goes on: as soon as it has shown something."""
    process = await asyncio.create_subprocess_exec(
        *("env", "--default-signal=INT", *shlex.split(command)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            await process.stdout.readline()
            process.send_signal(2)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, errors.decode()

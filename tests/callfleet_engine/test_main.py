"""The command: one whole process, and the life of an engine under signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from callfleet_engine import logs
from callfleet_engine.__main__ import main
from callfleet_engine.engine import run
from callfleet_engine.settings import Settings
from tests.callfleet_engine.engines import LIMIT_SECONDS, settings

PORTS = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0")
PROTOCOLS = ("callfleet.v1",)


async def test_the_command_says_where_it_listens_and_ends(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "callfleet_engine", *PORTS),
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "CALLFLEET_ENGINE_OPEN": "true",
            "CALLFLEET_ENGINE_ALLOWED_ORIGINS": "http://a http://b",
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        assert process.stdout is not None
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), LIMIT_SECONDS))
        assert said["event"] == "listening"
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://{said['metrics']}/readyz") as response:
                assert response.status == 200
            async with http.get(f"http://{said['listen']}/r/room") as response:
                assert response.status == 200
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            async with http.get(f"http://{said['admin']}/admin/v1/status") as response:
                assert (await response.json())["component"] == "engine"
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
        assert process.returncode == 0
        last = json.loads(log.decode().splitlines()[-1])
        assert {"time", "level", "logger", "message"} <= set(last)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def serving(given: Settings, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[str]:
    """The engine as the command runs it, in this process; yields the URL of signalling."""
    task = asyncio.create_task(run(given))
    try:
        said = ""
        while not said:
            assert not task.done(), task.result()
            await asyncio.sleep(0.01)
            said = capsys.readouterr().out
        yield f"http://{json.loads(said)['listen']}/api/v1/signal"
        await asyncio.wait_for(task, LIMIT_SECONDS)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def join(socket: aiohttp.ClientWebSocketResponse, room: str) -> str:
    await socket.send_json({"type": "join", "room": room})
    answer = await socket.receive_json()
    kind: str = answer.get("code", answer["type"])
    return kind


@pytest.mark.parametrize(("number", "grace"), [(signal.SIGTERM, 0.2), (signal.SIGINT, 3600)])
async def test_calls_end_after_the_grace_or_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals, grace: float
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        serving(settings(tmp_path, termination_grace=grace), capsys) as url,
        http.ws_connect(url, protocols=PROTOCOLS) as ada,
    ):
        assert await join(ada, "one") == "joined"
        os.kill(os.getpid(), number)
        assert await ada.receive_json() == {"type": "ended", "reason": "pod_terminated"}


async def test_a_terminating_engine_waits_for_its_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        serving(settings(tmp_path), capsys) as url,
        http.ws_connect(url, protocols=PROTOCOLS) as ada,
    ):
        assert await join(ada, "one") == "joined"
        os.kill(os.getpid(), signal.SIGTERM)
        async with http.ws_connect(url, protocols=PROTOCOLS) as bob:
            assert await join(bob, "two") == "draining"
        async with http.ws_connect(url, protocols=PROTOCOLS) as eve:
            assert await join(eve, "one") == "joined"
            await eve.send_json({"type": "leave"})
            assert (await eve.receive_json())["reason"] == "left"
        await ada.send_json({"type": "leave"})
        seen = [await ada.receive_json() for _ in range(3)]
        assert seen[-1] == {"type": "ended", "reason": "left"}


async def test_an_engine_that_waits_for_its_database_can_be_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.create_task(run(settings(tmp_path, database="postgresql://a@127.0.0.1:1/b")))
    while "waiting for the database" not in caplog.messages:
        assert not task.done(), task.result()
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, LIMIT_SECONDS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--keys-file is missing"),
        (("--open", "--listen", "nowhere"), "--listen: 'nowhere' is not HOST:PORT"),
        (("--open", "--listen", "192.0.2.1:1"), "--listen: cannot listen on 192.0.2.1:1"),
        (("--keys-file", "missing.json"), "missing.json"),
        (("--keys-file", "broken.json"), "--keys-file: "),
        (("--open", "--limits-file", "broken.json"), "--limits-file: "),
        (("--open", "--admin-keys-file", "broken.json"), "--admin-keys-file: "),
    ],
)
def test_a_bad_configuration_is_refused(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Logging belongs to the test run here.
    monkeypatch.setattr(logs, "configure", lambda _: None)
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text("{")
    result = CliRunner().invoke(main, [*PORTS[2:], *arguments])
    assert result.exit_code == 2, result.output
    assert says in " ".join(result.output.split())

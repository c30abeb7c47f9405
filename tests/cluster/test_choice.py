"""What the state directory holds, and who may remove it."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cluster import api_server, choice
from tests.cluster.__main__ import main
from tests.cluster.run import OWNER, READY, Run


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLFLEET_STATE", str(tmp_path))
    monkeypatch.delenv("CALLFLEET_KUBECONFIG", raising=False)
    return tmp_path


def _claimed(state: Path, name: str, *, owned: bool) -> Run:
    run = Run(state / name)
    run.claim(api_server.KIND, owned=owned)
    return run


def test_a_run_whose_up_never_ended_is_left_over(state: Path) -> None:
    _claimed(state, "half", owned=False)
    assert choice.remove() == ["half"]
    assert list(state.iterdir()) == []


def test_a_ready_run_of_a_living_owner_stays(state: Path) -> None:
    run = _claimed(state, "mine", owned=True)
    (run.directory / READY).touch()
    assert choice.remove() == []


def test_a_ready_run_of_a_dead_owner_goes(state: Path) -> None:
    run = _claimed(state, "orphan", owned=True)
    (run.directory / READY).touch()
    with subprocess.Popen(["sleep", "60"]) as owner:
        (run.directory / OWNER).write_text(Path(f"/proc/{owner.pid}/stat").read_text())
        assert not run.is_left_over()
        owner.kill()
        owner.wait(timeout=20)
        assert choice.remove() == ["orphan"]


def test_a_ready_run_without_processes_is_left_over(state: Path) -> None:
    """As after the machine was started anew."""
    run = _claimed(state, "yesterday", owned=False)
    run.spawn("server", "sleep", "60")
    (run.directory / READY).touch()
    assert not run.is_left_over()
    run.processes.kill()
    assert choice.remove() == ["yesterday"]


def test_many_may_clean_at_once(state: Path) -> None:
    names = {f"half-{number}" for number in range(20)}
    for name in names:
        _claimed(state, name, owned=False)
    with ThreadPoolExecutor(max_workers=4) as pool:
        results = [pool.submit(choice.remove) for _ in range(4)]
        assert set().union(*(result.result() for result in results)) == names
    assert list(state.iterdir()) == []


def test_options_behind_the_command_are_the_commands(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execvpe", lambda _file, argv, _env: called.append(argv))
    monkeypatch.setenv("CALLFLEET_KUBECONFIG", "/nowhere")
    result = CliRunner().invoke(main, ["exec", "-n", "demo", "kubectl", "get", "pods", "-n", "x"])
    assert result.exit_code == 0, result.output
    assert called == [["kubectl", "get", "pods", "-n", "x"]]


def test_a_refusal_is_a_message_not_a_trace(state: Path) -> None:
    result = CliRunner().invoke(main, ["exec", "true"])
    assert (result.exit_code, result.output) == (
        1,
        f"Error: there is no cluster callfleet in {state}: `up` makes one\n",
    )


def test_what_is_not_ours_is_not_ended(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLFLEET_KUBECONFIG", "/nowhere")
    result = CliRunner().invoke(main, ["down"])
    assert result.exit_code == 1
    assert "not ours to end" in result.output

from __future__ import annotations

from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from callfleet_operator import cli


def with_commands(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if p.group == group and name in (None, p.name)]

    monkeypatch.setattr(cli, "entry_points", entry_points)


@click.command()
def present() -> None:
    click.echo("here")


def test_runs_the_command_that_an_entry_point_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with_commands(monkeypatch, EntryPoint("present", f"{__name__}:present", cli.COMMANDS))

    result = CliRunner().invoke(cli.main, ["present"])

    assert (result.exit_code, result.output) == (0, "here\n")


def test_a_part_that_is_not_installed_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_commands(monkeypatch, EntryPoint("load", "callfleet_absent.load:load", cli.COMMANDS))

    result = CliRunner().invoke(cli.main, ["load", "--participants", "4"])

    assert result.exit_code == 1
    assert "pip install 'callfleet[absent]'" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sta"], "status\tFleets on one screen"),
        (["plan", "--people"], "--people-per-call\tMean"),
        (["plan", "--bitrate", "7"], "720p\n"),
        (["explain", "--dec"], "--decision\tNumber of the decision"),
        (["status", "-o", ""], "json\n"),
        ([], "drain\t"),
    ],
)
def test_kubectl_completes_the_plugin(
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl_complete-callfleet", *words])
    cli.complete()
    output = capsys.readouterr().out
    assert said in output
    assert output.endswith(":4\n")


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "explain",
        "drain",
        "undrain",
        "pause",
        "resume",
        "hold",
        "plan",
        "doctor",
        "simulate",
        "support-bundle",
    ],
)
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(cli.main, [command, "--help"], prog_name="callfleet")
    assert result.exit_code == 0
    assert f"callfleet {command}" in result.output.split("Example", 1)[1]


def test_an_unknown_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_commands(monkeypatch)

    result = CliRunner().invoke(cli.main, ["nonsense"])

    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.output

"""The command line of the operator."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from callfleet_operator import __main__ as command
from callfleet_operator.__main__ import main
from callfleet_operator.gateway.errors import UnavailableError
from callfleet_operator.process import StartError
from callfleet_operator.settings import ListenAddress, Settings

NEEDED = [
    "run",
    "--prometheus-url=http://prometheus:9090",
    "--engine-image=engine:1",
    "--relay-image=relay:1",
    "--operator-namespace=callfleet",
]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings of the operators that would have run."""
    seen: list[Settings] = []

    async def run(settings: Settings, listening: object) -> None:
        seen.append(settings)

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "configure_logging", lambda **_: None)
    return seen


def test_options(started: list[Settings], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    options = [
        "--namespace=calls",
        "--namespace=media",
        "--namespace=calls",
        f"--prometheus-token-file={token}",
        "--tick-seconds=5",
        "--metrics=127.0.0.1:0",
    ]
    result = CliRunner().invoke(main, [*NEEDED, *options])
    assert result.exit_code == 0, result.output
    (settings,) = started
    assert settings.namespaces == ("calls", "media")
    assert settings.prometheus_token_file == token
    assert settings.tick == 5
    assert settings.metrics == ListenAddress("127.0.0.1", 0)


def test_environment(started: list[Settings]) -> None:
    environment = {
        "CALLFLEET_OPERATOR_PROMETHEUS_URL": "http://prometheus:9090",
        "CALLFLEET_OPERATOR_ENGINE_IMAGE": "engine:1",
        "CALLFLEET_OPERATOR_RELAY_IMAGE": "relay:1",
        "CALLFLEET_OPERATOR_OPERATOR_NAMESPACE": "callfleet",
        "CALLFLEET_OPERATOR_NAMESPACE": "calls media",
        "CALLFLEET_OPERATOR_METRICS": "127.0.0.1:9999",
    }
    result = CliRunner().invoke(main, ["run"], env=environment)
    assert result.exit_code == 0, result.output
    (settings,) = started
    assert settings.namespaces == ("calls", "media")
    assert settings.metrics.port == 9999


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--metrics=9090", "write it as HOST:PORT"),
        ("--prometheus-url=nonsense", "such as http://prometheus.monitoring:9090"),
        ("--tick-seconds=0", "between 1 and 300"),
        ("--namespace=All", "lower-case"),
    ],
)
def test_bad_settings_are_refused_with_the_remedy(
    started: list[Settings], option: str, says: str
) -> None:
    result = CliRunner().invoke(main, [*NEEDED, option])
    assert result.exit_code == 2
    assert says in result.output
    assert started == []


def test_what_is_needed_is_asked_for(started: list[Settings]) -> None:
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 2
    assert "Missing option '--prometheus-url'" in result.output


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (StartError("install the CRDs"), "install the CRDs"),
        (UnavailableError("list turnpools", 0, "no answer"), "The API server cannot be used"),
    ],
)
def test_a_start_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, problem: Exception, says: str
) -> None:
    async def run(*_: object) -> None:
        raise problem

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "configure_logging", lambda **_: None)
    result = CliRunner().invoke(main, NEEDED)
    assert result.exit_code == 1
    assert says in result.output


def test_help_shows_every_option() -> None:
    output = CliRunner().invoke(main, ["run", "--help"]).output
    for option in ("--namespace", "--prometheus-ca-file", "--health-max-age-seconds", "--metrics"):
        assert option in output

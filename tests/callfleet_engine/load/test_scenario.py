from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.load.scenario import (
    Credentials,
    Phase,
    ScenarioError,
    Until,
    read_scenario,
)


def test_reads_phases(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        """
        roomPrefix: demo
        video: {kilobitsPerSecond: 300}
        phases:
        - {name: rise, calls: 3, participantsPerCall: 4}
        - {name: refused, allocations: 20, credentials: wrong, until: command, limitSeconds: 60}
        """
    )

    scenario = read_scenario(file)

    assert scenario.room_prefix == "demo"
    assert scenario.video.kilobits_per_second == 300
    assert scenario.phases == (
        Phase(name="rise", calls=3, participants_per_call=4),
        Phase(
            name="refused",
            allocations=20,
            credentials=Credentials.WRONG,
            until=Until.COMMAND,
            limit_seconds=60,
        ),
    )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("phases: [{name: a, call: 3}]", "phases.0.call"),
        ("phases: []", "phases"),
        ("phases: [{name: a, until: later}]", "phases.0.until"),
        ("phases: [{name: a, calls: -1}]", "phases.0.calls"),
        ("[1, 2]", "the file"),
        ("phases: [", "not YAML"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(content)

    with pytest.raises(ScenarioError, match=named):
        read_scenario(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"absent\.yaml"):
        read_scenario(tmp_path / "absent.yaml")

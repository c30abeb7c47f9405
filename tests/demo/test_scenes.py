from __future__ import annotations

from pathlib import Path

import yaml

from callfleet_engine.load.scenario import Credentials, Until, read_scenario
from tests.demo.scenes import scenario
from tests.demo.setting import example_file
from tests.demo.sizes import DEMO, TEST, Sizes


def spec(kind: str) -> dict[str, dict[str, int]]:
    documents = yaml.safe_load_all(example_file("demo").read_text())
    (found,) = [document["spec"] for document in documents if document["kind"] == kind]
    content: dict[str, dict[str, int]] = found
    return content


def test_the_scenario_is_one_that_callfleet_load_takes(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario(DEMO)))

    phases = {phase.name: phase for phase in read_scenario(file).phases}

    assert all(phase.until is Until.COMMAND for phase in phases.values())
    assert phases["wrong-credentials"].credentials is Credentials.WRONG


def test_the_sizes_fit_the_capacities_of_the_example() -> None:
    capacity = spec("CallCluster")["capacity"]["participantsPerPod"]
    per_relay = spec("TurnPool")["quota"]["allocationsPerPod"]
    for sizes in (DEMO, TEST):
        peak = participants(sizes, sizes.peak_calls)
        assert -(-peak * 10 // (7 * capacity)) == sizes.peak_pods
        assert participants(sizes, sizes.evening_calls) <= 0.5 * capacity
        assert 2 * peak < 0.7 * per_relay
        assert per_relay < sizes.turn_crowd + 4 <= 2 * per_relay


def participants(sizes: Sizes, calls: int) -> int:
    return calls * sizes.participants_per_call

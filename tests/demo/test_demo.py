"""The whole system as its users have it: the demo's scenes with fewer people."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.cluster.interface import Cluster
from tests.demo.run import play
from tests.demo.setting import Fleet
from tests.demo.sizes import TEST


@pytest.mark.cluster
def test_the_demo_meets_every_expectation(
    cluster: Cluster, demo_fleet: Fleet, tmp_path: Path
) -> None:
    with (tmp_path / "screen.txt").open("w") as screen:
        met = play(cluster, demo_fleet, tmp_path, TEST, Console(file=screen, width=200))

    assert met, (tmp_path / "screen.txt").read_text()

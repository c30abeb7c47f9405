"""The chart's rules files, and what promtool says of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "callfleet"
FILES = sorted((CHART / "files" / "rules").glob("*.yaml"))


def all_rules() -> list[dict[str, Any]]:
    """Of every file and group, recorded ones too."""
    return [
        rule
        for file in FILES
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Prometheus' own judge of rules."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: apt-get install --no-install-recommends prometheus")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=300
    )

"""What docs/simulate.md shows is what its command prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from callfleet_operator.cli import main

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]


def test_the_example_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (CHECKOUT / "docs" / "simulate.md").read_text("utf-8")
    block = re.search(r"```sh\n(callfleet simulate -f [^`]*)```\n\n```text\n([^`]*)```", text)
    assert block is not None
    command = shlex.split(block[1].replace("\\\n", " "))
    monkeypatch.chdir(CHECKOUT)
    ran = CliRunner().invoke(main, command[1:])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == block[2]

"""What docs/plan.md shows of `callfleet plan` is what it prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from callfleet_operator.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "plan.md"
SHOWN = re.compile(
    r"^```sh\n(callfleet plan [^`]*)^```$\n+^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
EXAMPLES = SHOWN.findall(PAGE.read_text("utf-8"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_what_is_shown_is_printed(command: str, shown: str) -> None:
    _, *arguments = shlex.split(command.replace("\\\n", " "))
    ran = CliRunner().invoke(main, arguments, prog_name="callfleet")

    assert ran.exit_code == 0, ran.output
    assert shown in ran.stdout

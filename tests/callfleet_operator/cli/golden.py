"""Golden files of what commands print.

CALLFLEET_REFRESH_GOLDEN=1 pytest tests/callfleet_operator/cli

writes them anew; the difference is for the review.
"""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

DIRECTORY = Path(__file__).with_name("golden")
WIDTH = 120


def check(name: str, drawn: RenderableType) -> None:
    """Compare what is drawn on a terminal of 120 columns, without colours, with the file."""
    page = StringIO()
    console = Console(
        file=page, width=WIDTH, color_system=None, highlight=False, markup=False, emoji=False
    )
    console.print(drawn)
    text = "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())
    file = DIRECTORY / f"{name}.txt"
    if os.environ.get("CALLFLEET_REFRESH_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"no {file}: run with CALLFLEET_REFRESH_GOLDEN=1 and read what it writes"
    assert text == file.read_text("utf-8"), (
        f"{file.name} differs: if it should, run with CALLFLEET_REFRESH_GOLDEN=1"
    )

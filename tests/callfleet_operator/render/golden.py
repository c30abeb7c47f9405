"""Golden files: what an object looks like, read by people in every change that touches it.

    CALLFLEET_REFRESH_GOLDEN=1 pytest tests/callfleet_operator/render

writes them anew; the difference is for the review.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).with_name("golden")


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the signature is yaml's
        return True


def check(name: str, *objects: Mapping[str, Any]) -> None:
    """Compare objects with the golden file of this name."""
    file = DIRECTORY / f"{name}.yaml"
    text = yaml.dump_all(objects, Dumper=_Plain, sort_keys=False, width=100)
    if os.environ.get("CALLFLEET_REFRESH_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"no {file}: run with CALLFLEET_REFRESH_GOLDEN=1 and read what it writes"
    assert text == file.read_text("utf-8"), (
        f"{file.name} differs: if it should, run with CALLFLEET_REFRESH_GOLDEN=1"
    )

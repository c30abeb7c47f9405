"""Wheels that are built with a Rust compiler and without one, each installed by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.images import CHECKOUT, copy_sources

pytestmark = pytest.mark.slow

BUILD_SECONDS = 600.0
ASK = """
import json
from callfleet_relay.transport.choice import _load_native
import callfleet_relay
loaded = _load_native("auto")
print(json.dumps([callfleet_relay.__file__, getattr(loaded, "__name__", "python")]))
"""


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("cargo", "tags", "plane"),
    [
        ("/nonexistent/cargo", ["py3", "none", "any"], "python"),
        ("cargo", ["cp311", "abi3"], "callfleet_relay.transport.native"),
    ],
    ids=["without", "with"],
)
def test_both_work(tmp_path: Path, cargo: str, tags: list[str], plane: str) -> None:
    copy_sources(tmp_path / "sources")
    run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *(f"--outdir={tmp_path}", str(tmp_path / "sources")),
        CARGO=cargo,
        CARGO_TARGET_DIR=str(CHECKOUT / "target"),
    )
    (wheel,) = tmp_path.glob("*.whl")

    assert wheel.stem.split("-")[2:][: len(tags)] == tags

    site = tmp_path / "site"
    flags = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", *flags, f"--target={site}", str(wheel))
    file, loaded = json.loads(run(sys.executable, "-c", ASK, PYTHONPATH=str(site)))
    assert Path(file).is_relative_to(site)
    assert loaded == plane

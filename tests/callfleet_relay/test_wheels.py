"""A wheel that is built where there is no Rust compiler.

One that is built with it is in the relay's image: `tests/cluster/test_images.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.cluster.images import copy_sources

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


def test_one_that_was_built_without_a_compiler_works_everywhere(tmp_path: Path) -> None:
    copy_sources(tmp_path / "sources")
    run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *(f"--outdir={tmp_path}", str(tmp_path / "sources")),
        CARGO="/nonexistent/cargo",
    )
    (wheel,) = tmp_path.glob("*.whl")

    assert wheel.stem.endswith("-py3-none-any")

    site = tmp_path / "site"
    flags = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", *flags, f"--target={site}", str(wheel))
    # Without `site` the editable install is not seen, its dependencies are.
    path = f"{site}:{sysconfig.get_path('purelib')}"
    file, loaded = json.loads(run(sys.executable, "-S", "-c", ASK, PYTHONPATH=path))
    assert Path(file).is_relative_to(site)
    assert loaded == "python"

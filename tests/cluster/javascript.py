"""WebRTC clients from npm that tests play against, installed from their lock file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.cluster.cache import made_once
from tests.cluster.errors import HarnessError
from tests.cluster.paths import cache_root
from tests.cluster.progress import step

TESTS = Path(__file__).parents[1]
SOURCES = (
    TESTS / "callfleet_relay" / "javascript",
    TESTS / "callfleet_engine" / "whip" / "javascript",
)
INSTALL_SECONDS = 300


def programs() -> Path:
    """The folder with the programs and what they import."""
    sources = sorted(each for folder in SOURCES for each in folder.iterdir() if each.is_file())
    digest = hashlib.sha256(b"\0".join(each.read_bytes() for each in sources)).hexdigest()
    return made_once(f"javascript/{digest[:16]}", _install)


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise HarnessError("npm is missing: run `python -m tests.cluster prepare --for peers`")
    for sources in SOURCES:
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(sources, folder, ignore=ignored, dirs_exist_ok=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--cache", str(cache_root() / "npm")]
    with step("Installing werift and node-datachannel", "20 s"):
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    if done.returncode:
        raise HarnessError(f"npm ci:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

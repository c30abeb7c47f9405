"""The native plane's parts, asked through a program."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
BUILD_SECONDS = 600.0
ANSWER_SECONDS = 120.0

Ask = Callable[[Iterable[str]], list[str]]


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Put questions to the native plane's parts."""
    build = [
        "cargo",
        "build",
        "--locked",
        "--quiet",
        "--package=callfleet-media",
        "--example=answers",
    ]
    subprocess.run(build, cwd=ROOT, check=True, timeout=BUILD_SECONDS)
    metadata = subprocess.check_output(
        ["cargo", "metadata", "--format-version=1", "--no-deps", "--offline"],
        cwd=ROOT,
        timeout=BUILD_SECONDS,
    )
    program = Path(json.loads(metadata)["target_directory"], "debug", "examples", "answers")

    def ask(asked: Iterable[str]) -> list[str]:
        text = "".join(f"{question}\n" for question in asked)
        done = subprocess.run(
            [program],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=ANSWER_SECONDS,
        )
        return done.stdout.splitlines()

    return ask

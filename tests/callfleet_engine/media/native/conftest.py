"""The native plane's parts, asked through a program."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
BUILD_SECONDS = 600.0
ANSWER_SECONDS = 120.0

Ask = Callable[[Iterable[str]], list[str]]


def built() -> str:
    """The program's path; `make rust` has compiled most of it."""
    cargo = shutil.which("cargo")
    assert cargo, "cargo is missing: run `python -m tests.cluster prepare --for rust`"
    messages = subprocess.run(
        [
            cargo,
            "build",
            "--locked",
            "--quiet",
            "--message-format=json",
            "--package=callfleet-media",
            "--example=answers",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=BUILD_SECONDS,
    ).stdout
    told = [json.loads(message) for message in messages.splitlines()]
    return next(str(each["executable"]) for each in told if each.get("executable"))


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Put questions to the native plane's parts."""
    program = built()

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

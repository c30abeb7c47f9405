"""What the documents point to exists, and what is generated in them is current."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from callfleet_operator.status.documented import ConditionType, Documented
from callfleet_operator.status.table import REASONS, documented
from tests.docs import command_lines, worked_example

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *(CHECKOUT / "docs").rglob("*.md")]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
OF_A_CONDITION = re.compile(rf"`({'|'.join(ConditionType)})` `([A-Z]\w+)`")
PROGRAM = re.compile(
    r"\b(callfleet-engine|callfleet-relay|callfleet token keys|callfleet token|callfleet load"
    r"|callfleet plan)\b"
    r"([^|\n;&#`]*)"
)
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", page.read_text("utf-8"))


def shell(page: Path) -> Iterator[str]:
    """Blocks of shell commands, continued lines joined."""
    for _, language, block in BLOCK.findall(page.read_text("utf-8")):
        if language == "sh":
            yield re.sub(r"\\\n\s*", "", block)


def anchors(page: Path) -> set[str]:
    """Fragments of a page's headings as GitHub makes them."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        base = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchor, number = base, 0
        while anchor in found:
            number += 1
            anchor = f"{base}-{number}"
        found.add(anchor)
    return found


@by_page
def test_links_within_the_checkout_resolve(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(CHECKOUT), f"{link} leaves the checkout"
        assert target.exists(), f"{link} leads nowhere"
        if fragment:
            assert fragment in anchors(target), f"{link}: no such heading"


@by_page
def test_every_document_is_reached_from_the_index(page: Path) -> None:
    index = CHECKOUT / "docs" / "README.md"
    listed = {
        (index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(index))
    }
    assert page in listed | {index, CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md"}


@by_page
def test_conditions_have_the_reasons_that_are_said_of_them(page: Path) -> None:
    for type_, reason in OF_A_CONDITION.findall(prose(page)):
        documented(type_, reason)


@pytest.mark.parametrize("one", REASONS, ids=lambda one: f"{one.type}-{one.reason}")
def test_troubleshooting_names_each_reason(one: Documented) -> None:
    page = (CHECKOUT / "docs" / "troubleshooting.md").read_text("utf-8")
    assert f"`{one.type}`" in page
    assert f"`{one.reason}`" in page


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    return {name: command_lines.help_of(of, name) for of, name in command_lines.COMMANDS}


@by_page
def test_flags_in_commands_exist(page: Path, helps: dict[str, str]) -> None:
    for block in shell(page):
        for program, arguments in PROGRAM.findall(block):
            for flag in re.findall(r"--[a-z][a-z-]*", arguments):
                assert re.search(rf"^\s.*{flag}\b", helps[program], re.MULTILINE), (program, flag)


@by_page
def test_modules_in_commands_exist(page: Path) -> None:
    for module in re.findall(r"python -m ([\w.]+)", page.read_text("utf-8")):
        assert importlib.util.find_spec(module) is not None, module


@by_page
def test_targets_of_make_exist(page: Path) -> None:
    rules = (CHECKOUT / "Makefile").read_text("utf-8")
    text = page.read_text("utf-8")
    for targets in re.findall(r"(?:`|^)make ((?:--silent )?[a-z][a-z -]*)", text, re.MULTILINE):
        for target in targets.removeprefix("--silent ").split():
            assert re.search(rf"^{target}:", rules, re.MULTILINE), target


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("api", "callfleet_operator.api.v1alpha1.reference"),
        ("conditions", "callfleet_operator.status.reference"),
        ("command-lines", "tests.docs.command_lines"),
    ],
)
def test_generated_pages_are_current(name: str, module: str) -> None:
    file = f"docs/reference/{name}.md"
    made = subprocess.run(
        [sys.executable, "-m", module], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert (CHECKOUT / file).read_text("utf-8") == made.stdout, f"run: python -m {module} > {file}"


def test_the_worked_example_is_what_the_plan_decides() -> None:
    concepts = (CHECKOUT / "docs" / "concepts.md").read_text("utf-8")
    assert worked_example.trace() in concepts, "run: python -m tests.docs.worked_example"

"""README, "By hand, without Kubernetes": its commands as written, and two tabs as it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.callfleet_engine.web.conftest import browser, chromium  # noqa: F401 - fixtures
from tests.callfleet_engine.web.tabs import ADVANCES, PLAYS, join
from tests.waiting import eventually

pytestmark = pytest.mark.cluster
"""The commands take fixed ports, and these tests run one by one."""

README = Path(__file__).parents[2] / "README.md"
METRICS = "http://127.0.0.1:9190/metrics"


def section() -> str:
    return README.read_text("utf-8").partition("### By hand")[2].partition("\n## ")[0]


@pytest.fixture
def links(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """What the commands print, while engine and relay run."""
    (commands,) = re.findall(r"```sh\n(.*?)```", section(), re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            # It prints the links last and then waits, as a shell does between commands.
            ["/bin/bash", "-euc", f"{commands}\necho all-printed\nwait"],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        ) as shell,
    ):
        try:
            assert shell.stdout is not None
            printed = iter(shell.stdout.readline, "all-printed\n")
            found = tuple(line.strip() for line in printed if line.startswith("http"))
            yield found
        finally:
            end(shell)


def end(shell: subprocess.Popen[str]) -> None:
    """Signal until all have ended: the first is a drain, a second one ends calls and sessions."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            shell.poll()
            os.killpg(shell.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    pytest.fail("engine and relay do not end")


def page_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - http
        text: str = answer.read().decode()
    return text


def metric(name: str, **labels: str) -> float:
    page = page_at(METRICS)
    lines = [line for line in page.splitlines() if re.match(rf"{name}[ {{]", line)]
    values = [
        float(line.rpartition(" ")[2])
        for line in lines
        if all(f'{label}="{value}"' in line for label, value in labels.items())
    ]
    return sum(values)


async def test_two_tabs_in_a_call_over_the_relay(
    links: tuple[str, ...],
    browser: Browser,  # noqa: F811 - the fixture
) -> None:
    ada, grace = links
    for url in ("http://127.0.0.1:8080/", METRICS):
        eventually(partial(page_at, url))
    problems: list[str] = []
    first, first_id = await join(browser, ada, "Ada", problems)
    second, second_id = await join(browser, grace, "Grace", problems)
    for page, other in ((first, second_id), (second, first_id)):
        await page.wait_for_function(PLAYS, arg=other)
        assert await page.evaluate(ADVANCES, other) > 0
    assert "allocations, at least two for each tab" in section().replace("\n", " ")
    assert metric("callfleet_relay_allocations") >= 4
    for direction in ("from_client", "to_client"):
        assert metric("callfleet_relay_bytes_total", direction=direction) > 0
    assert not problems

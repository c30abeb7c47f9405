"""The dashboard: its shape, and each query against what is really exported."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.callfleet_operator.gateway.prometheus_server import prometheus
from tests.charts.dashboard import DASHBOARD, FILE, QUIET, panels, queries
from tests.charts.exported import Exported
from tests.charts.rules import all_rules, promtool

BOUND = 30.0
NAME = re.compile(r"\b(?:callfleet_(?:engine|relay|operator)_\w+|process_\w+)")
SELECTOR = re.compile(rf"({NAME.pattern})(?:\{{([^}}]*)\}})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
each_panel = pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])


def expressions() -> Iterator[str]:
    """Of the dashboard and of the rules."""
    yield from (query.expression for query in queries())
    yield from (rule["expr"] for rule in all_rules())


def test_it_is_written_as_its_export() -> None:
    assert FILE.read_text("utf-8") == json.dumps(DASHBOARD, indent=2) + "\n"


def test_its_rows() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Fleet at a glance",
        "What the operator did and why",
        "Engines",
        "Relays",
        "The operator",
    ]


def test_its_variables() -> None:
    found = {one["name"]: one["type"] for one in DASHBOARD["templating"]["list"]}
    assert found == {
        "datasource": "datasource",
        "namespace": "query",
        "cluster": "query",
        "pool": "query",
    }
    for one in DASHBOARD["templating"]["list"]:
        assert one["label"]
        assert one["description"]
        assert one["type"] == "datasource" or one["datasource"]["uid"] == "${datasource}"


def test_numbers_and_titles_are_unique() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert set(titles) >= QUIET


@each_panel
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)


def test_panels_do_not_cover_one_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


@pytest.mark.peer
def test_promtool_parses_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.expression}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.peer
async def test_every_name_and_label_is_exported(exported: Exported) -> None:
    labels = exported.labels()
    any_label = set[str]().union(*labels.values(), {"direction", "le"})
    for variable in DASHBOARD["templating"]["list"]:
        for name in NAME.findall(str(variable.get("query"))):
            assert name in labels
    for expression in expressions():
        for name, matchers in SELECTOR.findall(expression):
            assert name in labels, expression
            assert set(MATCHER.findall(matchers)) <= labels[name], expression
        for grouped in GROUPING.findall(expression):
            assert {label.strip() for label in grouped.split(",")} <= any_label, expression


@pytest.mark.peer
@pytest.mark.parametrize("known_by", ["labels", "address"])
async def test_every_query_is_answered(exported: Exported, known_by: str, tmp_path: Path) -> None:
    """Whichever labels the operator's target has."""
    pages = exported.scraped() if known_by == "labels" else exported.scraped_by_address()
    with prometheus(tmp_path) as server:
        server.exporter.show("all", "".join(pages.values()))
        async with aiohttp.ClientSession() as session:
            for query in queries({"namespace": "media", "cluster": "calls", "pool": "relays"}):
                await _until_data(session, server.url, query.expression)


async def _until_data(session: aiohttp.ClientSession, url: str, expression: str) -> None:
    """A rate has data once there are two scrapes."""
    wanted = re.sub(r" > 0(?=\)?$)", "", expression)  # nothing happens in an idle part
    async with asyncio.timeout(BOUND):
        while True:
            async with session.get(f"{url}/api/v1/query", params={"query": wanted}) as answer:
                told = await answer.json()
            assert told["status"] == "success", (expression, told)
            if told["data"]["result"]:
                return
            await asyncio.sleep(0.05)

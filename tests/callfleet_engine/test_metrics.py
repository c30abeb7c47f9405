"""Names and labels of metrics are API: docs/reference/contracts.md."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.callfleet_engine.engines import running, settings

CONTRACTS = Path(__file__).parents[2] / "docs/reference/contracts.md"
PREFIX = "callfleet_engine_"


def names_in_contract() -> set[str]:
    section = CONTRACTS.read_text().split("**engine** (prefix")[1].split("**relay**")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {PREFIX + name for row in rows for name in re.findall(r"`(\w+)`", row)}


async def test_every_metric_of_the_contract_and_no_other(tmp_path: Path) -> None:
    async with (
        running(settings(tmp_path)) as [engine],
        aiohttp.ClientSession() as http,
        http.get(f"http://{engine.listening.metrics}/metrics") as response,
    ):
        assert response.content_type == "text/plain"
        families = list(text_string_to_metric_families(await response.text()))
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    of_the_process = {name for name in names if name.startswith("process_")}
    assert "process_resident_memory_bytes" in of_the_process
    assert names - of_the_process == names_in_contract()
    labels = {
        family.name.removeprefix(PREFIX): {
            tuple(sorted(sample.labels)) for sample in family.samples if sample.labels
        }
        for family in families
    }
    assert labels["admission"] == {("state",)}
    assert labels["stress_ratio"] == {("resource",)}
    assert labels["admission_rejected"] == {("reason",)}
    assert labels["ice_attempts"] == {("path",)}
    assert labels["lost_packets"] == {("direction",)}
    assert labels["info"] == {("mediaplane", "version")}


async def test_health(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as [engine], aiohttp.ClientSession() as http:

        async def status(path: str) -> int:
            async with http.get(f"http://{engine.listening.metrics}{path}") as response:
                return response.status

        drain = engine.parts.drain
        assert (await status("/healthz"), await status("/readyz")) == (200, 200)
        drain.begin("test")
        assert await status("/readyz") == 200
        drain.seal("test", engine.parts.admission.occupancy)
        assert (await status("/healthz"), await status("/readyz")) == (200, 503)

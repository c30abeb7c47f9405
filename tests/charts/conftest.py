"""The three parts, run for what they export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.callfleet_engine.engines import running, settings
from tests.callfleet_relay.conftest import (
    StartRelay,
    pair,
    secret_file,
    start_relay,
    start_stream_relay,
)
from tests.charts.exported import Exported, operator_page

__all__ = ["pair", "secret_file", "start_relay", "start_stream_relay"]


@pytest.fixture
async def exported(tmp_path: Path, start_stream_relay: StartRelay) -> AsyncIterator[Exported]:
    """With what an idle engine and an idle relay have not counted yet, as far as labels need it."""
    listeners = ("--listen", "udp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0")
    relay = start_stream_relay(*listeners)
    async with (
        running(settings(tmp_path)) as [engine],
        aiohttp.ClientSession() as session,
    ):
        engine.parts.metrics.not_connected("relayed", "timeout")
        engine.parts.metrics.observe_store("start_call", 0.01)
        pages = {"operator": operator_page()}
        for part, url in (
            ("engine", f"http://{engine.listening.metrics}"),
            ("relay", relay.metrics_url),
        ):
            async with session.get(f"{url}/metrics") as answer:
                pages[part] = await answer.text()
        yield Exported(pages)

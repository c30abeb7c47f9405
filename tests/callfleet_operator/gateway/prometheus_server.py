"""A real Prometheus on loopback that scrapes one exporter of the test's own."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

BOUND = 20.0
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- job_name: pods
  honor_labels: true
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass
class Exporter:
    """Shows `text` to whoever asks."""

    text: str = ""
    scrapes: int = 0
    scraped: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def page(self, _request: web.Request) -> web.Response:
        async with self.scraped:
            self.scrapes += 1
            self.scraped.notify_all()
        return web.Response(text=self.text)

    async def show(self, text: str) -> None:
        """Change the page, and return when it has been scraped and stored for sure."""
        self.text = text
        seen = self.scrapes
        async with asyncio.timeout(BOUND), self.scraped:
            # The scrape under way may have the old page; one that has begun after is stored when
            # the one after that begins.
            await self.scraped.wait_for(lambda: self.scrapes >= seen + 3)


@dataclass(frozen=True)
class Server:
    url: str
    exporter: Exporter


@asynccontextmanager
async def prometheus(directory: Path) -> AsyncIterator[Server]:
    """Runs as long as the block; ends by its own process id."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail(
            "prometheus is not installed: apt-get install --no-install-recommends prometheus"
        )
    exporter = Exporter()
    app = web.Application()
    app.add_routes([web.get("/metrics", exporter.page)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(port=runner.addresses[0][1]))
    port = _free_port()
    log = (directory / "prometheus.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _ready(url, process, directory / "prometheus.log")
        yield Server(url, exporter)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()
        await runner.cleanup()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    def said() -> str:
        return log.read_text()[-2000:]

    async with asyncio.timeout(BOUND), aiohttp.ClientSession() as session:
        while True:
            if process.returncode is not None:
                pytest.fail(f"prometheus ended: {said()}")
            try:
                async with session.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # not listening yet
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port

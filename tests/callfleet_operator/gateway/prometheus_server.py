"""A real Prometheus on loopback that scrapes one exporter of the tests' own."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.ports import free_port

BOUND = 30.0
CONFIG = """
global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}
scrape_configs:
- job_name: pods
  honor_labels: true
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass
class Exporter:
    """Shows what its writers want shown, one page for all."""

    _pages: dict[str, str] = field(default_factory=dict)
    _scrapes: int = 0
    _scraped: threading.Condition = field(default_factory=threading.Condition)

    def page(self) -> str:
        """What is shown now; asking counts as a scrape."""
        with self._scraped:
            self._scrapes += 1
            self._scraped.notify_all()
            return "".join(self._pages.values())

    def show(self, writer: str, text: str) -> None:
        """Change one writer's part, and return when it has been scraped and stored for sure."""
        with self._scraped:
            if self._pages.get(writer) == text:
                return
            self._pages[writer] = text
            seen = self._scrapes
            # A scrape has been stored when the one after it begins.
            if not self._scraped.wait_for(lambda: self._scrapes >= seen + 2, BOUND):
                raise TimeoutError("Prometheus does not scrape")


@dataclass(frozen=True)
class Server:
    url: str
    exporter: Exporter


@contextmanager
def prometheus(directory: Path, interval: str = "100ms") -> Iterator[Server]:
    """Runs as long as the block; ends by its own process id.

    A scrape may take as long as the `interval`. Of one that takes longer nothing is known, so
    whoever asks but once gives it more.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("prometheus is missing: apt-get install --no-install-recommends prometheus")
    exporter = Exporter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError):  # Prometheus was stopped while it scraped
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are not worth a line."""

    pages = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=pages.serve_forever, name="exporter")
    thread.start()
    config, log = directory / "prometheus.yml", directory / "prometheus.log"
    config.write_text(CONFIG.format(port=pages.server_address[1], interval=interval))
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(url, process, log)
        yield Server(url, exporter)
    finally:
        process.kill()
        process.wait()
        pages.shutdown()
        pages.server_close()
        thread.join()


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urlopen(f"{url}/-/ready", timeout=1) as answer:  # noqa: S310  # loopback
                if answer.status == 200:
                    return
        except (URLError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"prometheus does not get ready: {log.read_text()[-2000:]}")

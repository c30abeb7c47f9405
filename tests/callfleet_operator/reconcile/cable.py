"""The connection between an operator and the API server, to be cut: a TCP proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

CHUNK = 65536


@dataclass
class Cable:
    """Passes bytes on, unless it is told to hold them back or to refuse connections."""

    host: str
    port: int
    held: int = 0
    """Connections with something that is held back."""
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _refusing: bool = False
    _connections: set[asyncio.Task[Any]] = field(default_factory=set)

    def hang(self) -> None:
        """Hold everything back, for good or until `mend`."""
        self._passing.clear()

    def refuse(self) -> None:
        """Cut what is connected and let nobody connect."""
        self._refusing = True
        for connection in self._connections:
            connection.cancel()

    def mend(self) -> None:
        """Pass everything on, with what was held back."""
        self._refusing = False
        self._passing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if not self._refusing:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # one side has gone, or the cable was cut
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.host, self.port)
        try:
            directions = [
                asyncio.create_task(self._pass(reader, back)),
                asyncio.create_task(self._pass(there, writer)),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in directions:
                    one.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        finally:
            back.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            self.held += 1
            try:
                await self._passing.wait()
            finally:
                self.held -= 1
            writer.write(chunk)
            await writer.drain()

    async def end(self) -> None:
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


def server_of(kubeconfig: Path) -> tuple[str, int]:
    """Host and port of the one server of a kubeconfig."""
    (cluster,) = yaml.safe_load(kubeconfig.read_text())["clusters"]
    server = urlsplit(cluster["cluster"]["server"])
    assert server.hostname is not None
    assert server.port is not None
    return server.hostname, server.port


def redirect(kubeconfig: Path, server: str, to: Path) -> None:
    """Write the kubeconfig with another server."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = server
    to.write_text(yaml.safe_dump(config))


@asynccontextmanager
async def cable(kubeconfig: Path, through: Path) -> AsyncIterator[Cable]:
    """One that leads to the server of a kubeconfig; writes another kubeconfig that goes `through`
    it. Both must be of this machine: the server's certificate is for its address."""
    host, server_port = server_of(kubeconfig)
    made = Cable(host, server_port)
    made.mend()
    listener = await asyncio.start_server(made.serve, host, 0)
    port = listener.sockets[0].getsockname()[1]
    redirect(kubeconfig, f"https://{host}:{port}", through)
    try:
        yield made
    finally:
        listener.close()
        with suppress(asyncio.CancelledError):
            await made.end()
        await listener.wait_closed()

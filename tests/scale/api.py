"""Many requests to an API server at a time, cheaper than a client of objects would make them."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

import aiohttp

from callfleet_operator.gateway.resources import ResourceType

T = TypeVar("T")
Body = dict[str, Any]
AT_ONCE = 24
MERGE = "application/merge-patch+json"


class RefusedError(Exception):
    """The API server said no."""


@dataclass(frozen=True)
class Api:
    """Requests as one user of a kubeconfig."""

    server: str
    session: aiohttp.ClientSession

    async def request(
        self, method: str, path: str, body: Body | None = None, content: str = "application/json"
    ) -> Body:
        """The answer; raises RefusedError for anything but success."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content}
        async with self.session.request(
            method, self.server + path, data=data, headers=headers
        ) as response:
            answer: Body = json.loads(await response.read())
            if response.status >= 300:
                raise RefusedError(f"{method} {path}: {response.status} {answer.get('message')}")
            return answer

    async def create(self, resource: ResourceType, body: Body) -> Body:
        path = resource.path(body["metadata"].get("namespace", ""))
        return await self.request("POST", path, body)

    async def list_all(self, resource: ResourceType, query: str) -> list[Body]:
        """All objects of a kind that match a query, page by page."""
        found: list[Body] = []
        token = ""
        while True:
            pages = f"?limit=500&continue={token}&{query}"
            page = await self.request("GET", resource.path() + pages)
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Api]:
    """As the user of a kubeconfig of the harness."""
    text = json.loads(await asyncio.to_thread(kubeconfig.read_text))
    cluster, user = text["clusters"][0]["cluster"], text["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with NamedTemporaryFile() as both:
        for part in ("client-certificate-data", "client-key-data"):
            both.write(base64.b64decode(user[part]))
        both.flush()
        context.load_cert_chain(both.name)
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=context)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Api(cluster["server"], session)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
    """The same for many things, AT_ONCE at a time."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(worker())

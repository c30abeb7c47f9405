"""Follows all objects of a kind: told all there are, then kept current by a watch.

Source: Kubernetes reference "Efficient detection of changes" and "Streaming lists". One watch tells
first what is there and then every change. An API server that does not know such a watch, or takes
too long over it, is asked for lists page by page, and the watch goes on from their version. What
cannot be told any more (410) is told anew from the beginning.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import orjson
from kubernetes.aio.client import ApiException

from callfleet_operator.gateway.errors import (
    GoneError,
    KubeError,
    UnavailableError,
    from_response,
)
from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.resources import ResourceType

WATCH_SECONDS: Final = 60
"""A watch is renewed as often: that costs one request, and one that has hung is found out soon."""
GRACE_SECONDS: Final = 15
"""After so many more a watch that should have ended has hung."""
_PAUSE_FIRST, _PAUSE_MAX = 1.0, 15.0
_LINE_LIMIT: Final = 16 * 1024 * 1024
_INITIAL_END: Final = "k8s.io/initial-events-end"
"""Annotation of the bookmark after the last object that was there."""

_Event = tuple[str, Body]
"""Its type, and the object or the status that it is about."""

log = logging.getLogger(__name__)


class Mirror(Protocol):
    """Keeps what is followed."""

    def saw(self, body: Body) -> None:
        """An object is there, new or changed."""

    def gone(self, body: Body) -> None:
        """An object has been deleted; this is how it was last."""

    def listed(self, namespace: str, uids: Collection[str], version: str) -> None:
        """These are all there were at a version; others of before are gone."""

    def current(self, namespace: str, *, whether: bool) -> None:
        """Whether every change is heard of from now on, until told otherwise."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Which objects."""

    resource: ResourceType
    namespace: str
    """Empty: all."""
    label_selector: str

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.resource.plural} with {self.label_selector}{where}"


async def follow(kube: Kube, what: Followed, mirror: Mirror, listing: asyncio.Lock) -> None:
    """Tell the mirror all objects that match and every change of them, until cancelled.

    `listing` is held while they are listed page by page: those who share it do so one after the
    other.

    An API server that is away, or that refuses, is asked again, at most 15 s apart.
    """
    version, pause, by_pages = "", _PAUSE_FIRST, False
    while True:
        try:
            if by_pages:
                async with listing:
                    version, by_pages = await _list(kube, what, mirror), False
            async for seen in _watched(kube, what, version, mirror):
                version, pause = seen, _PAUSE_FIRST
            by_pages = not version
            continue
        except GoneError:
            version = ""
        except KubeError as trouble:
            if not version and not by_pages:
                # Whatever the reason is: if it keeps from listing, too, that is said then.
                log.info(
                    "listed page by page, not streamed: %s: %s",
                    what,
                    trouble,
                    extra={"event": "watch-by-pages", "resource": what.resource.plural},
                )
                by_pages = True
                continue
            log.warning(
                "not watched, next attempt in %g s: %s: %s",
                pause,
                what,
                trouble,
                extra={"event": "watch-broken", "resource": what.resource.plural},
            )
        finally:
            mirror.current(what.namespace, whether=False)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _PAUSE_MAX)


async def _list(kube: Kube, what: Followed, mirror: Mirror) -> str:
    uids: set[str] = set()
    version = ""
    async for page in kube.pages(what.resource, what.namespace, what.label_selector):
        version = page["metadata"]["resourceVersion"]
        for item in page.get("items", []):
            uids.add(item["metadata"]["uid"])
            mirror.saw(item)
    mirror.listed(what.namespace, uids, version)
    return version


async def _watched(kube: Kube, what: Followed, version: str, mirror: Mirror) -> AsyncIterator[str]:
    """The version after each change, until the server ends the watch.

    Without a version to go on from, all objects are told first. None is given if the server ends
    the watch before that is done.
    """
    request = f"watch {what}"
    start = (
        [("resourceVersion", version)]
        if version
        else [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]
    )
    query = [
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("timeoutSeconds", str(WATCH_SECONDS)),
        ("labelSelector", what.label_selector),
        *start,
    ]
    async with _stream(kube, request, what.resource.path(what.namespace), query) as response:
        events = _events(response, request)
        if not version:
            version = await _initial(events, what, mirror)
            if not version:
                return
            yield version
        mirror.current(what.namespace, whether=True)
        async for kind, body in events:
            _tell(mirror, kind, body)
            yield body["metadata"]["resourceVersion"]


async def _initial(events: AsyncIterator[_Event], what: Followed, mirror: Mirror) -> str:
    """Tell what is there; returns its version, empty if the events end before that is all."""
    uids: set[str] = set()
    async for kind, body in events:
        metadata = body["metadata"]
        if kind == "BOOKMARK":
            if _INITIAL_END in (metadata.get("annotations") or {}):
                version: str = metadata["resourceVersion"]
                mirror.listed(what.namespace, uids, version)
                return version
        else:
            uids.add(metadata["uid"])
            _tell(mirror, kind, body)
    return ""


def _tell(mirror: Mirror, kind: str, body: Body) -> None:
    match kind:
        case "DELETED":
            mirror.gone(body)
        case "ADDED" | "MODIFIED":
            mirror.saw(body)


async def _events(response: aiohttp.ClientResponse, request: str) -> AsyncIterator[_Event]:
    async for line in _lines(response, request):
        event = orjson.loads(line)
        body: Body = event["object"]
        if event["type"] == "ERROR":
            raise from_response(request, body.get("code", 0), json.dumps(body), None)
        yield event["type"], body


@asynccontextmanager
async def _stream(
    kube: Kube, what: str, path: str, query: list[tuple[str, str]]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer that goes on until the server ends it."""
    try:
        async with asyncio.timeout(kube.timeout):
            response = await kube.client.request(
                "get",
                path,
                query_params=query,
                header_params={"Accept": "application/json"},
                _request_timeout=WATCH_SECONDS + GRACE_SECONDS,
                serialize=False,
            )
    except ApiException as refusal:
        status = refusal.status or 0
        raise from_response(what, status, refusal.body, refusal.headers) from refusal
    except TimeoutError as late:
        raise UnavailableError(what, 0, f"no answer within {kube.timeout:g} s") from late
    except (aiohttp.ClientError, OSError) as broken:
        raise UnavailableError(what, 0, f"{type(broken).__name__}: {broken}") from broken
    try:
        yield response
    finally:
        response.close()


async def _lines(response: aiohttp.ClientResponse, what: str) -> AsyncIterator[bytes]:
    rest = b""
    try:
        async for chunk in response.content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > _LINE_LIMIT:
                raise UnavailableError(what, 0, f"an event of more than {_LINE_LIMIT} octets")
    except (aiohttp.ClientError, OSError) as broken:
        raise UnavailableError(what, 0, f"{type(broken).__name__}: {broken}") from broken

"""A collector of traces on loopback: OTLP over HTTP, as its protocol buffers say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

BOUND = 60.0


@dataclass(frozen=True, slots=True)
class Received:
    """One span."""

    name: str
    id: bytes
    parent: bytes
    attributes: Mapping[str, str | int]
    failed: bool


@dataclass
class Collector:
    """What has come in."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    resource: dict[str, str | int] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[list[Received]], bool]) -> None:
        """Wait until what has come in is enough."""
        async with asyncio.timeout(BOUND):
            while not condition(self.spans):
                self._news.clear()
                await self._news.wait()

    async def take(self, request: web.Request) -> web.Response:
        """One export, in its answer's own form."""
        message = ExportTraceServiceRequest.FromString(await request.read())
        for of_resource in message.resource_spans:
            self.resource = _values(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += map(_received, of_scope.spans)
        self._news.set()
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Listens as long as the block."""
    made = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()


def _received(span: Span) -> Received:
    return Received(
        span.name,
        span.span_id,
        span.parent_span_id,
        _values(span.attributes),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _values(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}

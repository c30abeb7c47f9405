"""Sends spans to a collector. The only module that knows OpenTelemetry, which comes with the extra
`otel`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from callfleet_operator.tracing import Span, Tracer, Value

FLUSH_WITHIN: Final = 2.0
"""Seconds that a collector has at the end: a replica that leaves must not be held up by it."""
_PREFIX: Final = "callfleet."


class _OtlpSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, **attributes: Value) -> None:
        """Its attributes, with our prefix."""
        self._span.set_attributes(_prefixed(attributes))


class _OtlpTracer:
    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, /, **attributes: Value) -> Iterator[Span]:
        """A span below the one that this task is in."""
        with self._tracer.start_as_current_span(name, attributes=_prefixed(attributes)) as span:
            yield _OtlpSpan(span)


def sent(instance: str) -> AbstractAsyncContextManager[Tracer]:
    """Spans go where the variables OTEL_... say. Raises ValueError for one that cannot be used."""
    release = version("callfleet")
    of_ours = Resource(
        {
            "service.name": "callfleet-operator",
            "service.version": release,
            "service.instance.id": instance,
        }
    )
    # What the environment says of the service goes before what we know of it.
    resource = Resource.create().merge(of_ours).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return _until_sent(provider, _OtlpTracer(provider.get_tracer("callfleet_operator", release)))


@asynccontextmanager
async def _until_sent(provider: TracerProvider, tracer: Tracer) -> AsyncIterator[Tracer]:
    try:
        yield tracer
    finally:
        # The library waits for as long as a collector that is away is tried.
        rest = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        rest.start()
        await asyncio.to_thread(rest.join, FLUSH_WITHIN)


def _prefixed(attributes: dict[str, Value]) -> dict[str, Value]:
    return {_PREFIX + name: value for name, value in attributes.items()}

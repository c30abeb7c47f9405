"""Whether traces are asked for, by the variables that OpenTelemetry knows, and where they go.

Source: opentelemetry.io, "OpenTelemetry Protocol Exporter" and "Environment Variable
Specification" of the SDK.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from callfleet_operator.tracing import NoTracer, Tracer

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP: Final = "http/protobuf"


class TracesError(Exception):
    """Traces are asked for and cannot be sent; the message says what to do."""


@asynccontextmanager
async def traces(instance: str) -> AsyncIterator[Tracer]:
    """A tracer as the environment asks for; what is left of its spans is sent at the end.

    `instance` tells replicas apart. Raises TracesError.
    """
    variable = _first(ENDPOINTS)
    if not variable or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield NoTracer()
        return
    _check(variable)
    try:
        from callfleet_operator.gateway.otlp import sent  # noqa: PLC0415  # only with its extra
    except ModuleNotFoundError as missing:
        raise TracesError(
            f"{variable} is set, but what sends traces is not installed ({missing}). Install it "
            "with `pip install 'callfleet[operator,otel]'`, or unset the variable."
        ) from missing
    try:
        sending = sent(instance)
    except ValueError as problem:
        raise TracesError(
            f"{variable} is set, but another variable OTEL_... is not as it should be: {problem}"
        ) from problem
    async with sending as tracer:
        yield tracer


def _check(variable: str) -> None:
    address = os.environ[variable]
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TracesError(
            f"{variable} is {address!r}: give the address of a collector that takes OTLP over "
            "HTTP, such as http://collector.tracing:4318."
        )
    chosen = _first(PROTOCOLS)
    if chosen and os.environ[chosen] != HTTP:
        raise TracesError(
            f"{chosen} is {os.environ[chosen]!r}: traces are sent as {HTTP} only. Set it to that, "
            "and the endpoint to the collector's port for HTTP, which mostly is 4318."
        )


def _first(names: tuple[str, ...]) -> str:
    """The first of the variables that holds something, or nothing."""
    return next((name for name in names if os.environ.get(name)), "")

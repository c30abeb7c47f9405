"""The gate that every change of anything outside passes: who does not lead changes nothing.

It is part of the HTTP sessions, not of the calls that use them, so a new call cannot forget it. It
looks once a connection is there, just before the request is written: a process that was stopped
while it waited for a connection, or for an answer that led to this request, does not write when it
wakes. aiohttp sends some requests again by itself; those pass it again.

What is left is a stop between this look and the kernel's send, a few instructions. Against that
stand uid and resourceVersion in each patch and delete of a pod.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import aiohttp

READING = frozenset({"GET", "HEAD", "OPTIONS"})

Check = Callable[[], None]
"""Raises NotLeadingError if nothing may be changed."""


def always_open() -> None:
    """For what is no operator, such as the command line, and for the Lease itself."""


def guarded(check: Check) -> aiohttp.TraceConfig:
    """For the `trace_configs` of a session: requests that change something are checked."""
    config = aiohttp.TraceConfig()

    async def begin(
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        context.changes = params.method.upper() not in READING

    async def connected(
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _params: aiohttp.TraceConnectionCreateEndParams | aiohttp.TraceConnectionReuseconnParams,
    ) -> None:
        if context.changes:
            check()

    config.on_request_start.append(begin)
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config

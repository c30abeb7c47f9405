"""Asks Prometheus for the past of a CallCluster: at an address, or through the API server."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from callfleet_operator.cli.installation import find_installations, proxied
from callfleet_operator.cli.session import Problem
from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.prometheus import Prometheus, PrometheusError, Series
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.observe.queries import Past, past_queries
from callfleet_operator.simulate.past import Span

TIMEOUT: Final = 60.0
"""Seconds for one query: a past is longer than a moment."""
_ANSWER_LIMIT: Final = 64 * 1024 * 1024

Ask = Callable[[str, datetime], Awaitable[tuple[Series, ...]]]
"""A query, and the first time that it is asked of."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where Prometheus is looked for."""

    url: str
    """Empty: the operator's, through the API server unless this runs in the cluster."""
    token_file: Path | None
    operator_namespace: str


async def rows_of(
    source: Source, kube: UserKube | None, name: tuple[str, str], span: Span
) -> Mapping[Past, tuple[Series, ...]]:
    """What each query gave for a CallCluster (namespace and name). Raises Problem."""
    if source.url or kube is None:
        return await _directly(source.url, source.token_file, name, span)
    try:
        found = await find_installations(kube, source.operator_namespace)
    except KubeError as refusal:
        raise Problem(
            f"The operator's Prometheus is not known ({refusal.message.rstrip('.')}): name one "
            "with --prometheus-url, or a file with --csv."
        ) from refusal
    address = found[0].prometheus_url if found else ""
    if not address:
        raise Problem(
            f"There is no operator with a Prometheus in namespace {source.operator_namespace}: "
            "name its namespace with --operator-namespace, Prometheus with --prometheus-url, or a "
            "file with --csv."
        )
    path = proxied(address)
    if kube.in_cluster or not path:
        return await _directly(address, source.token_file, name, span)

    async def through_api_server(query: str, start: datetime) -> tuple[Series, ...]:
        times = [("start", start.timestamp()), ("end", span.end.timestamp())]
        times.append(("step", span.step.total_seconds()))
        asked = [("query", query), *((name, f"{value:.3f}") for name, value in times)]
        return await _proxied(kube, path, asked)

    try:
        return await _all(through_api_server, name, span)
    except (KubeError, ValueError) as failed:
        raise Problem(
            f"{address} is not reached through the API server ({str(failed).rstrip('.')}): name "
            "an address that is reached from here with --prometheus-url, or a file with --csv."
        ) from failed


async def _directly(
    url: str, token_file: Path | None, name: tuple[str, str], span: Span
) -> Mapping[Past, tuple[Series, ...]]:
    client = Prometheus(url, timeout=TIMEOUT, token_file=token_file)

    async def ask(query: str, start: datetime) -> tuple[Series, ...]:
        answer = await client.query_range(query, start=start, end=span.end, step=span.step)
        if answer.warnings:
            raise Problem(
                f"Prometheus gives a part only ({'; '.join(answer.warnings)}): a past with holes "
                "would look like less load. Try again when it is whole."
            )
        return answer.series

    try:
        return await _all(ask, name, span)
    except PrometheusError as problem:
        raise Problem(f"{problem.detail.rstrip('.')}.") from problem
    finally:
        client.close()


async def _all(ask: Ask, name: tuple[str, str], span: Span) -> Mapping[Past, tuple[Series, ...]]:
    whole = span.end - span.start
    queries = past_queries(*name, step=span.step, whole=whole)
    over_time = (Past.PARTICIPANTS, Past.BEGUN)
    return {
        past: await ask(query, span.start if past in over_time else span.end)
        for past, query in queries.items()
    }


async def _proxied(kube: UserKube, path: str, asked: list[tuple[str, str]]) -> tuple[Series, ...]:
    text = await kube.text(
        f"{path}/api/v1/query_range",
        what="get services/proxy",
        query=asked,
        most=_ANSWER_LIMIT,
        within=TIMEOUT,
    )
    answer = json.loads(text)
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise ValueError("the answer is not that of a Prometheus API")
    if answer.get("warnings"):
        raise ValueError(f"it gives a part only: {answer['warnings'][0]}")
    return tuple(_series(row) for row in answer["data"]["result"])


def _series(row: Any) -> Series:  # noqa: ANN401  # as received
    points = ((float(time), float(value)) for time, value in row["values"])
    known = tuple((time, value) for time, value in points if math.isfinite(value))
    return Series({str(name): str(text) for name, text in row["metric"].items()}, known)

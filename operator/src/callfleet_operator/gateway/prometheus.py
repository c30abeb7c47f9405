"""Prometheus: instant and range queries through prometheus-api-client, in a thread of its own.

The library has no timeout unless told, tries again on its own, reads answers of any length and
drops the warnings. All four are settled here, with what `requests` offers: a session whose hook
reads each answer within a deadline and a limit before the library sees it.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from callfleet_operator.observation import MetricsProblem

ANSWER_LIMIT = 64 * 1024 * 1024
"""Octets, unpacked: about 200,000 series."""
POINTS_LIMIT = 11_000
"""Of a range; Prometheus refuses more a series."""
_DETAIL_LIMIT = 512
_GRACE = 1.0


T = TypeVar("T")


class PrometheusError(Exception):
    """A query without a usable answer; the message says what to look at."""

    def __init__(self, problem: MetricsProblem, detail: str) -> None:
        super().__init__(detail[:_DETAIL_LIMIT])
        self.problem = problem
        self.detail = detail[:_DETAIL_LIMIT]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query gave."""

    values: Mapping[tuple[str, ...], float]
    """Finite values, by the labels that were asked for; a label that a row does not have is empty
    there."""
    warnings: tuple[str, ...] = ()
    """Why the answer may not be whole, in the server's words."""


@dataclass(frozen=True, slots=True)
class Series:
    """One row of a range: its points with finite values, oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Unix time and value."""


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """What one query over a range gave."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    """Why the answer may not be whole, in the server's words."""


class Prometheus:
    """One server. Queries wait for one another: they share one thread and one connection."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        token_file: Path | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """`timeout` in seconds holds for one query, its answer included."""
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._token_file = token_file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prometheus")
        self._reader = _BoundedReader(timeout)
        session = requests.Session()
        session.verify = str(ca_file) if ca_file else True
        session.stream = True  # the hook reads, not the library
        session.trust_env = False  # a .netrc would take the place of the token
        session.hooks["response"] = [self._reader]
        self._client = PrometheusConnect(
            url=self._url, session=session, retry=Retry(total=0), timeout=timeout, method="POST"
        )

    def close(self) -> None:
        """Give up the connection; a query under way ends by its own timeout."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def query(self, promql: str, labels: Sequence[str]) -> Answer:
        """Evaluate an expression that gives an instant vector whose rows `labels` tell apart;
        raises PrometheusError.

        Rows whose value is NaN or infinite are left out: they say nothing.
        """
        return await self._in_time(partial(self._query, promql, labels))

    async def query_range(
        self, promql: str, *, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer:
        """Evaluate an expression at `start` and every `step` after it up to `end`; raises
        PrometheusError. Points whose value is NaN or infinite are left out.

        Raises ValueError for more than `POINTS_LIMIT` points, which the server would refuse.
        """
        points = (end - start) // step + 1
        if not 1 <= points <= POINTS_LIMIT:
            raise ValueError(f"{points} points from {start} to {end}: ask for 1 to {POINTS_LIMIT}")
        return await self._in_time(partial(self._query_range, promql, start, end, step))

    async def _in_time(self, ask: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout + _GRACE):
                return await loop.run_in_executor(self._thread, self._ask, ask)
        except TimeoutError as late:
            raise PrometheusError(
                MetricsProblem.UNREACHABLE, f"{self._url} gave no answer in {self._timeout:g} s"
            ) from late

    def _query(self, promql: str, labels: Sequence[str]) -> Answer:
        rows = self._client.custom_query(promql)
        return Answer(_values(rows, labels), self._reader.warnings)

    def _query_range(
        self, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer:
        rows = self._client.custom_query_range(promql, start, end, f"{step.total_seconds():g}")
        return RangeAnswer(tuple(map(_series, rows)), self._reader.warnings)

    def _ask(self, ask: Callable[[], T]) -> T:
        self._reader.begin()
        try:
            self._client.headers = self._headers()
            return ask()
        except PrometheusError:
            raise
        except requests.exceptions.SSLError as untrusted:
            raise PrometheusError(
                MetricsProblem.UNREACHABLE,
                f"the certificate of {self._url} is not trusted: name its authority with "
                f"--prometheus-ca-file ({untrusted})",
            ) from untrusted
        except (requests.Timeout, TimeoutError) as late:
            raise PrometheusError(
                MetricsProblem.UNREACHABLE, f"{self._url} gave no answer in {self._timeout:g} s"
            ) from late
        except (requests.ConnectionError, HTTPError, OSError) as broken:
            # requests.JSONDecodeError is an OSError too
            if isinstance(broken, ValueError):
                raise self._no_prometheus(broken) from broken
            raise PrometheusError(
                MetricsProblem.UNREACHABLE, f"{self._url} cannot be reached: {_root(broken)}"
            ) from broken
        except (PrometheusApiClientException, KeyError, TypeError, ValueError) as unexpected:
            raise self._no_prometheus(unexpected) from unexpected

    def _no_prometheus(self, problem: Exception) -> PrometheusError:
        return PrometheusError(
            MetricsProblem.ERROR,
            f"{self._url} does not answer as the Prometheus API does; check --prometheus-url "
            f"({type(problem).__name__}: {problem})",
        )

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        # Read each time: mounted tokens are renewed.
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as unreadable:
            raise PrometheusError(
                MetricsProblem.UNAUTHORIZED,
                f"the token file {self._token_file} cannot be read: {unreadable}",
            ) from unreadable
        return {"Authorization": f"Bearer {token}"}


class _BoundedReader:
    """Hook of the session: reads an answer whole, within limits, and keeps its warnings."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._deadline = 0.0
        self.warnings: tuple[str, ...] = ()

    def begin(self) -> None:
        """A new query starts now."""
        self._deadline = time.monotonic() + self._timeout
        self.warnings = ()

    def __call__(self, response: requests.Response, **_: object) -> None:
        """Called by requests with the head of each answer."""
        try:
            body = self._take(response)
        finally:
            # Read to its end the connection is kept, else it is given up: nobody else would.
            response.close()
        self.warnings = _warnings(body)
        response.raw = io.BytesIO(body)

    def _take(self, response: requests.Response) -> bytes:
        if response.is_redirect:
            raise PrometheusError(
                MetricsProblem.ERROR,
                f"{_address(response)} redirects to {response.headers.get('Location', '')}: give "
                "the final address with --prometheus-url",
            )
        body = self._read(response)
        if response.status_code != 200:
            raise _refusal(response, body)
        return body

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.raw.stream(64 * 1024, decode_content=True):
            body += chunk
            if len(body) > ANSWER_LIMIT:
                raise PrometheusError(
                    MetricsProblem.ERROR, f"an answer of more than {ANSWER_LIMIT} octets"
                )
            if time.monotonic() > self._deadline:
                raise TimeoutError
        return bytes(body)


def _address(response: requests.Response) -> str:
    """Without the query, which would leave no room for what was answered."""
    return response.url.partition("?")[0]


def _refusal(response: requests.Response, body: bytes) -> PrometheusError:
    status = response.status_code
    address = _address(response)
    if status in (401, 403):
        return PrometheusError(
            MetricsProblem.UNAUTHORIZED,
            f"{address} refuses the operator (HTTP {status}): give it a valid token with "
            "--prometheus-token-file",
        )
    try:
        explanation = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        explanation = "is this the base address of a Prometheus API? check --prometheus-url"
    return PrometheusError(MetricsProblem.ERROR, f"{address} answers HTTP {status}: {explanation}")


def _warnings(body: bytes) -> tuple[str, ...]:
    # Most answers have none, and are parsed only once, by the library.
    if b'"warnings"' not in body:
        return ()
    answer = json.loads(body)
    warnings = answer.get("warnings") if isinstance(answer, dict) else None
    said = [str(text)[:_DETAIL_LIMIT] for text in (warnings or [])]
    # Some servers say here what they think of a query, too: nothing is missing for that.
    return tuple(text for text in said if not text.startswith("PromQL info:"))[:10]


def _values(rows: Any, labels: Sequence[str]) -> dict[tuple[str, ...], float]:  # noqa: ANN401  # as received
    values: dict[tuple[str, ...], float] = {}
    for row in rows:
        value, metric = float(row["value"][1]), row["metric"]
        if math.isfinite(value):
            # Interned: the same pods come with each metric, and again the next time.
            values[tuple([intern(metric.get(name, "")) for name in labels])] = value
    return values


def _series(row: Any) -> Series:  # noqa: ANN401  # as received
    points = ((float(time), float(value)) for time, value in row["values"])
    labels = {str(name): str(text) for name, text in row["metric"].items()}
    return Series(labels, tuple(point for point in points if math.isfinite(point[1])))


def _root(error: BaseException) -> BaseException:
    """The error beneath what requests and urllib3 have wrapped around it."""
    seen = error
    while isinstance(inner := getattr(seen, "reason", None) or seen.__cause__, BaseException):
        seen = inner
    if seen.args and isinstance(seen.args[0], BaseException):
        return _root(seen.args[0])
    return seen

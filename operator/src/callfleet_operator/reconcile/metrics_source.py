"""What Prometheus says, asked once for all fleets of a kind and shared between their rounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from callfleet_operator.gateway.prometheus import Answer, Prometheus, PrometheusError
from callfleet_operator.observation import (
    ConnectionFailures,
    Connections,
    MetricsHealth,
    MetricsProblem,
)
from callfleet_operator.observe.queries import (
    DEMAND_WINDOW,
    OUTCOME_LABELS,
    RESULT_LABELS,
    Metric,
    Scope,
    engine_connection_queries,
    engine_queries,
    outcomes_query,
    relay_connection_queries,
    relay_queries,
    users_query,
)
from callfleet_operator.observe.readings import (
    Snapshot,
    Tables,
    connection_failures,
    connections_snapshot,
    engine_snapshot,
    relay_snapshot,
)

ASK_SHARE = 20
"""A snapshot is used for twenty times as long as it took to make, if that is longer than it is
shared anyway: to ask is a twentieth of the work at most."""
RENEWED_WITHIN = timedelta(seconds=15)
"""However long it took."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reported:
    """A snapshot, empty when Prometheus could not be asked, and how far it can be relied on."""

    snapshot: Snapshot
    health: MetricsHealth


class MetricsSource:
    """Asks Prometheus at most once in `max_age`, whoever wants to know."""

    def __init__(
        self,
        prometheus: Prometheus,
        scope: Scope,
        *,
        max_age: timedelta,
        now: Callable[[], datetime],
        demand_window: timedelta = DEMAND_WINDOW,
    ) -> None:
        """`demand_window`: over which the rate of new calls is taken."""
        self._prometheus = prometheus
        self._now = now
        queries = engine_queries(scope, demand_window)
        self._engines = _Shared(prometheus, queries, engine_snapshot, max_age, now)
        self._relays = _Shared(prometheus, relay_queries(scope), relay_snapshot, max_age, now)
        self._engine_connections, self._relay_connections = (
            _Shared(prometheus, asked(scope), connections_snapshot, max_age, now)
            for asked in (engine_connection_queries, relay_connection_queries)
        )

    async def engines(self) -> Reported:
        """All CallClusters."""
        return await self._engines.get()

    async def relays(self) -> Reported:
        """All TurnPools."""
        return await self._relays.get()

    async def engine_connections(self) -> Mapping[str, Connections]:
        """How connections through engines went, by pod uid; nothing when Prometheus is away."""
        return _whole(await self._engine_connections.get())

    async def relay_connections(self) -> Mapping[str, Connections]:
        """How users of relays were served, by pod uid; nothing when Prometheus is away."""
        return _whole(await self._relay_connections.get())

    async def failures(
        self, namespace: str, pool: str, since: datetime
    ) -> ConnectionFailures | None:
        """Users of one pool since a time; None when Prometheus cannot tell."""
        seconds = int((self._now() - since).total_seconds())
        if seconds < 1:
            return connection_failures({}, {}, since)
        try:
            users = await self._prometheus.query(
                users_query(namespace, pool, seconds), RESULT_LABELS
            )
            outcomes = await self._prometheus.query(
                outcomes_query(namespace, pool, seconds), OUTCOME_LABELS
            )
        except PrometheusError as problem:
            _say_unknown(f"TurnPool {namespace}/{pool}", problem.detail)
            return None
        warnings = dict.fromkeys((*users.warnings, *outcomes.warnings))
        if warnings:
            # Failures without all who tried, or the other way round, would be another rate.
            _say_unknown(f"TurnPool {namespace}/{pool}", "; ".join(warnings))
            return None
        return connection_failures(users.values, outcomes.values, since)


def _say_unknown(pool: str, why: str) -> None:
    log.warning(
        "how many users failed is not known: %s",
        why,
        extra={"event": "failures-unknown", "object": pool},
    )


def _whole(reported: Reported) -> Mapping[str, Connections]:
    """Attempts without all of their failures would look like health."""
    return {} if reported.health.problem is not None else reported.snapshot.connections


class _Shared:
    """One kind's snapshot: asked for by one round, used by all that come within `max_age`."""

    def __init__(
        self,
        prometheus: Prometheus,
        queries: Mapping[Metric, str],
        make: Callable[[Tables, datetime, tuple[str, ...]], Snapshot],
        max_age: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._prometheus = prometheus
        self._queries = queries
        self._make = make
        self._max_age = max_age
        self._now = now
        self._lock = asyncio.Lock()
        self._last: tuple[datetime, Reported] | None = None
        self._took = timedelta()
        self._renewal: asyncio.Task[Reported] | None = None

    async def get(self) -> Reported:
        """The snapshot. One that has just become too old is given while it is renewed: where
        there are very many pods rounds do not wait for that."""
        limit = self._max_age
        if limit:
            limit = max(limit, min(ASK_SHARE * self._took, RENEWED_WITHIN))
        if self._last is not None:
            at, reported = self._last
            age = self._now() - at
            if age < limit:
                return reported
            if limit > self._max_age and age < limit + RENEWED_WITHIN:
                if self._renewal is None or self._renewal.done():
                    self._renewal = asyncio.create_task(self._renew(at))
                return reported
        return await self._renew(None if self._last is None else self._last[0])

    async def _renew(self, known: datetime | None) -> Reported:
        """Ask, unless somebody else has asked since the snapshot that is known."""
        async with self._lock:
            if self._last is not None and self._last[0] != known:
                return self._last[1]
            began = self._now()
            reported = await self._ask()
            ended = self._now()
            self._took, self._last = ended - began, (ended, reported)
            return reported

    async def _ask(self) -> Reported:
        answers: dict[Metric, Answer] = {}
        try:
            for metric, text in self._queries.items():
                answers[metric] = await self._prometheus.query(text, metric.labels)
        except PrometheusError as problem:
            # The rest is not asked for: one hanging server must not hold a round up eight times.
            return Reported(Snapshot(), self._trouble(problem.problem, problem.detail))
        warnings = tuple(dict.fromkeys(text for one in answers.values() for text in one.warnings))
        tables = {metric: answer.values for metric, answer in answers.items()}
        # In a thread: of very many pods it takes long enough to keep rounds waiting.
        snapshot = await asyncio.to_thread(self._make, tables, self._now(), warnings)
        if warnings:
            return Reported(snapshot, self._trouble(MetricsProblem.PARTIAL, "; ".join(warnings)))
        return Reported(snapshot, MetricsHealth())

    def _trouble(self, problem: MetricsProblem, detail: str) -> MetricsHealth:
        before = self._last[1].health if self._last else MetricsHealth()
        since = before.since or self._now()
        if before.problem is not problem:
            log.warning(
                "Prometheus cannot be relied on: %s",
                detail,
                extra={"event": "metrics-problem", "cause": str(problem)},
            )
        return MetricsHealth(problem, detail, since)

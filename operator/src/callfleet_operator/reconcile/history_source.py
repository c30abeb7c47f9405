"""The history that forecasts rest on: fetched seldom, for all clusters together, beside the rounds.

A round asks for the outlook of its cluster and gets what is known by then; it never waits. Asking
is what makes a cluster's history be fetched, and kept until nobody has asked for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from callfleet_operator.gateway.prometheus import Prometheus, PrometheusError
from callfleet_operator.observation import NoOutlook, Outlook
from callfleet_operator.observe.history import Track, chunks, fill, slot_of, time_of
from callfleet_operator.observe.queries import Scope, participants_query
from callfleet_operator.observe.readings import FleetName
from callfleet_operator.plan.seasonal import STEP, outlook

MOST_CLUSTERS: Final = 2000
"""Histories kept, of about 12 KiB each."""
FORGOTTEN_AFTER: Final = timedelta(hours=1)
AGAIN_AFTER_TROUBLE: Final = timedelta(minutes=1)
SCRAPED_AFTER: Final = timedelta(seconds=30)
"""How long after a step Prometheus has been given its values."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    track: Track
    asked: datetime
    """When a round wanted it last."""
    judged: tuple[int, timedelta, Outlook | NoOutlook] | None = None
    """The last outlook, by the end of the history and the horizon it is of."""


class HistorySource:
    """Participants of each CallCluster with a forecast, over the last weeks."""

    def __init__(
        self, prometheus: Prometheus, scope: Scope, *, now: Callable[[], datetime]
    ) -> None:
        """`prometheus` is one of its own: nobody shall wait behind these queries."""
        self._prometheus = prometheus
        self._scope = scope
        self._now = now
        self._kept: dict[FleetName, _Kept] = {}
        self._wanted = asyncio.Event()
        self._trouble = ""

    def outlook(self, name: FleetName, horizon: timedelta) -> Outlook | NoOutlook:
        """What is expected of one cluster, as far as its history is here."""
        kept = self._kept.get(name)
        if kept is None:
            if len(self._kept) >= MOST_CLUSTERS:
                return NoOutlook(f"more than {MOST_CLUSTERS} CallClusters have a forecast")
            kept = self._kept[name] = _Kept(Track.empty(self._now()), self._now())
            self._wanted.set()
        kept.asked = self._now()
        through = kept.track.through
        if self._now() - time_of(through) >= 2 * STEP:
            why = (
                f"Prometheus did not give it: {self._trouble}" if self._trouble else "it is coming"
            )
            return NoOutlook(
                f"the history is known up to {time_of(through):%Y-%m-%dT%H:%M:%SZ}; {why}"
            )
        if kept.judged is None or kept.judged[:2] != (through, horizon):
            made = outlook(kept.track.history(), horizon=horizon, now=self._now())
            kept.judged = through, horizon, made
        return kept.judged[2]

    async def run(self) -> None:
        """Keep the histories complete until cancelled."""
        while True:
            self._wanted.clear()
            complete = await self.catch_up()
            pause = self._until_next_step() if complete else AGAIN_AFTER_TROUBLE
            try:
                await asyncio.wait_for(self._wanted.wait(), pause.total_seconds())
            except TimeoutError:
                continue

    def _until_next_step(self) -> timedelta:
        now = self._now()
        return time_of(slot_of(now) + 1) + SCRAPED_AFTER - now

    async def catch_up(self) -> bool:
        """Fetch what is missing; whether that worked."""
        now = self._now()
        kept = {name: one for name, one in self._kept.items() if now - one.asked <= FORGOTTEN_AFTER}
        self._kept = kept
        tracks = {name: one.track for name, one in kept.items()}
        query = participants_query(self._scope, {name for _, name in kept})
        try:
            for slots in chunks(tracks, now):
                answer = await self._prometheus.query_range(
                    query, start=time_of(slots[0]), end=time_of(slots[-1]), step=STEP
                )
                if answer.warnings:
                    # Part of the participants would look like fewer of them, for weeks.
                    self._note("; ".join(answer.warnings))
                    return False
                fill(tracks, slots, answer.series)
        except PrometheusError as problem:
            self._note(problem.detail)
            return False
        self._trouble = ""
        return True

    def _note(self, trouble: str) -> None:
        if not self._trouble:
            log.warning(
                "the history for forecasts cannot be fetched: %s",
                trouble,
                extra={"event": "history-problem"},
            )
        self._trouble = trouble

"""The pods of this cluster, known to one another through heartbeats in the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from callfleet_engine.calls.placement import Candidate
from callfleet_engine.store.interface import Admission, LivePod, PodBeat, Store, StoreError

logger = logging.getLogger(__name__)

MISSED_BEATS = 3
"""Intervals without a heartbeat after which a pod counts as dead."""


class Peers:
    """Sends this pod's heartbeat and keeps the others'."""

    def __init__(
        self,
        store: Store,
        me: Callable[[], PodBeat],
        *,
        interval_seconds: float,
        alone: bool,
        on_silence: Callable[[], None],
    ) -> None:
        """`alone`: the store serves one pod (SQLite), so whoever else it names is dead.

        `on_silence`: this pod could not be heard for so long that others may have taken over its
        calls.
        """
        self._store = store
        self._me = me
        self._interval = interval_seconds
        self._alone = alone
        self._on_silence = on_silence
        self._others: tuple[LivePod, ...] = ()
        self._heard_at = float("-inf")
        self._sent_there: dict[str, int] = {}

    @property
    def dead_after_seconds(self) -> float:
        """Silence after which a pod counts as dead."""
        return self._interval * MISSED_BEATS

    def candidates(self) -> list[Candidate]:
        """The other pods, for a new call. None of them while the store cannot be asked."""
        if self._alone or self._now() - self._heard_at > self.dead_after_seconds:
            return []
        return [
            Candidate(
                uid=live.pod.uid,
                address=live.pod.address,
                open=live.pod.admission is Admission.OPEN,
                used=live.pod.participants
                + live.pod.pending_joins
                + self._sent_there.get(live.pod.uid, 0),
                capacity=live.pod.capacity,
            )
            for live in self._others
        ]

    def sent_to(self, uid: str, places: int) -> None:
        """A call that takes so many places was sent there; its next heartbeat will show it."""
        self._sent_there[uid] = self._sent_there.get(uid, 0) + places

    async def is_alive(self, uid: str) -> bool:
        """Whether the pod was heard of, by the store as it is now. Raises StoreError."""
        if self._alone:
            return uid == self._me().uid
        live = await self._store.live_pods(timedelta(seconds=self.dead_after_seconds))
        return any(pod.pod.uid == uid for pod in live)

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        sent_at = self._now()
        while True:
            try:
                await self.beat()
            except StoreError as error:
                logger.warning("heartbeat failed", extra={"error": str(error)})
            else:
                silent = self._now() - sent_at
                sent_at = self._now()
                if silent > self.dead_after_seconds:
                    logger.warning("heartbeats were silent", extra={"seconds": round(silent, 1)})
                    self._on_silence()
            await asyncio.sleep(self._interval)

    async def beat(self) -> None:
        """Send one heartbeat and read the others'. Raises StoreError."""
        me = self._me()
        await self._store.heartbeat(me)
        live = await self._store.live_pods(timedelta(seconds=self.dead_after_seconds))
        self._others = tuple(pod for pod in live if pod.pod.uid != me.uid)
        self._heard_at = self._now()
        self._sent_there = {}

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

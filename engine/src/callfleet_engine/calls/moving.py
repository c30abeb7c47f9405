"""A draining pod that is told to give its calls up: whole calls, batch by batch.

A call leaves only if another open pod has room for all who are in it, by the latest heartbeats;
those without stay, and are tried again with the next request. A call that has left is not here any
more, so however often the request is repeated each client is sent elsewhere once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from callfleet_engine.background import Background
from callfleet_engine.calls.call import Call
from callfleet_engine.calls.host import CallHost
from callfleet_engine.calls.peers import Peers
from callfleet_engine.calls.placement import Candidate, place_moved
from callfleet_engine.drain import Drain, DrainConflict
from callfleet_engine.errors import CallError
from callfleet_engine.limits import LimitsSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batches:
    """How many are sent elsewhere at a time, and over which time they come back."""

    participants: int
    """A larger call is a batch of its own."""
    milliseconds: int


class Mover:
    """Moves calls while the drain that it was asked under is in force."""

    def __init__(
        self, host: CallHost, drain: Drain, peers: Peers, limits: LimitsSource, random: Random
    ) -> None:
        self._host = host
        self._drain = drain
        self._peers = peers
        self._limits = limits
        self._random = random
        self._background = Background()
        self._moving_for: str | None = None

    def begin(self, drain_id: str, batches: Batches) -> None:
        """Go on until no call is left that another pod has room for. May be repeated.

        Raises DrainConflict `sealed`, `not_draining`, `no_room`.
        """
        self._drain.require(drain_id)
        if self._moving_for == drain_id or not self._host.calls:
            return
        if next(self._movable(), None) is None:
            raise DrainConflict(
                "no_room",
                "No other open engine pod has room for a call of this pod; its calls stay.",
            )
        self._moving_for = drain_id
        self._background.run(self._move_all(drain_id, batches), f"moving for drain {drain_id}")

    async def close(self) -> None:
        """Stop."""
        await self._background.finish(0)

    async def _move_all(self, drain_id: str, batches: Batches) -> None:
        try:
            while self._drain.is_for(drain_id) and (batch := self._next(batches.participants)):
                logger.info(
                    "moving calls",
                    extra={"drainId": drain_id, "calls": len(batch), "people": _people(batch)},
                )
                for call in batch:
                    await self._host.move(call, within_ms=batches.milliseconds)
                await asyncio.sleep(batches.milliseconds / 1000)
        except CallError as error:
            logger.warning("calls stay for now", extra={"why": error.code})
        finally:
            self._moving_for = None

    def _next(self, participants: int) -> list[Call]:
        batch: list[Call] = []
        for call, target in self._movable():
            if batch and _people(batch) + call.people > participants:
                break
            batch.append(call)
            self._peers.sent_to(target.uid, call.people)
        return batch

    def _movable(self) -> Iterator[tuple[Call, Candidate]]:
        """Calls for which there is room, the largest first: the small ones fit anywhere."""
        for call in sorted(self._host.calls, key=lambda call: call.people, reverse=True):
            target = place_moved(
                self._peers.candidates(), call.people, self._limits.value, self._random
            )
            if target is not None:
                yield call, target


def _people(batch: list[Call]) -> int:
    return sum(call.people for call in batch)

"""Clients that are to leave a relay which is about to end: given another one, batch by batch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from random import Random

from callfleet_engine.background import Background
from callfleet_engine.calls.host import CallHost
from callfleet_engine.calls.participant import Participant
from callfleet_engine.errors import CallError
from callfleet_engine.turn.relays import RelayIdentity

logger = logging.getLogger(__name__)

BATCH_PARTICIPANTS = 20
BATCH_SECONDS = 1.0


class RelayMover:
    """One round at a time; what it could not do is asked for again."""

    def __init__(self, host: CallHost, random: Random) -> None:
        self._host = host
        self._random = random
        self._background = Background()
        self._leaving: frozenset[RelayIdentity] = frozenset()
        self._moving = False

    def begin(self, relays: Collection[RelayIdentity]) -> None:
        """These are to be left. While a round is under way it goes on with them."""
        self._leaving = frozenset(relays)
        if not self._moving and self._users():
            self._moving = True
            self._background.run(self._move_all(), "clients leave a relay")

    async def close(self) -> None:
        """Stop."""
        await self._background.finish(0)

    def _users(self) -> list[Participant]:
        return [one for call in self._host.calls for one in call if one.uses(self._leaving)]

    async def _move_all(self) -> None:
        try:
            asked: set[str] = set()
            while batch := [one for one in self._users() if one.id not in asked]:
                batch = batch[:BATCH_PARTICIPANTS]
                asked |= {one.id for one in batch}
                logger.info("clients leave a relay", extra={"clients": len(batch)})
                await asyncio.gather(
                    *(self._move(one, self._random.random() * BATCH_SECONDS) for one in batch)
                )
        finally:
            self._moving = False

    async def _move(self, participant: Participant, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        try:
            if participant.uses(self._leaving):
                await participant.leave_relay()
        except CallError as error:
            logger.warning(
                "a client stays on a relay that is to end",
                extra={"participant": participant.id, "why": error.code},
            )

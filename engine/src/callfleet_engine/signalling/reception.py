"""Which pod takes a join: tried here and on others until one does or none is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.host import CallHost, Entrance
from callfleet_engine.calls.ownership import OwnedElsewhere
from callfleet_engine.calls.participant import Participant
from callfleet_engine.calls.surroundings import Outbox
from callfleet_engine.errors import CallError, ErrorCode
from callfleet_engine.metrics import Metrics
from callfleet_engine.signalling.entry import Entry, Here, There
from callfleet_engine.signalling.forwarding import Forwarder, NotServed, Refused
from callfleet_engine.signalling.messages import Join
from callfleet_engine.store.interface import Owner

logger = logging.getLogger(__name__)

Passed = TypeVar("Passed")

PLACE_SECONDS = 30.0
"""From `join` to its answer, all tries included."""

PLACE_ROUNDS = 4
RETRY_AFTER_MS = 3_000

ELSEWHERE: frozenset[ErrorCode] = frozenset({"full", "draining", "sealed", "wrong_pod"})
"""Refusals of a new call that another pod may take."""

GONE: frozenset[ErrorCode] = frozenset({"draining", "sealed", "wrong_pod"})
"""Refusals by an owner that has the call no more."""


@dataclass(slots=True)
class Reception:
    """What all clients of a pod share."""

    uid: str
    entry: Entry
    host: CallHost
    forwarder: Forwarder
    metrics: Metrics
    answering: Callable[[], AbstractContextManager[object]]
    """Held while a client waits for an answer: what can wait does."""
    waiting: int = 0
    """Sockets without a join."""


class Placing:
    """One join on its way to the pod that takes it."""

    def __init__(
        self, reception: Reception, join: Join, outbox: Outbox, *, forwarded: bool
    ) -> None:
        """`forwarded`: another pod sent this join here, so it is not passed on again."""
        self._reception = reception
        self._join = join
        self._outbox = outbox
        self._forwarded = forwarded
        self._excluded: set[str] = set()

    async def place(
        self,
        pass_on: Callable[[Owner], Awaitable[Passed]],
        admit: Callable[[Entrance], Entrance] = lambda entrance: entrance,
    ) -> tuple[Call, Participant] | Passed:
        """The participant here, or what `pass_on` gave, which raises NotServed.

        `admit` has a last look at who enters here. Raises CallError, Refused.
        """
        last = _unreachable("No pod took the call in time.")
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                for _ in range(PLACE_ROUNDS):
                    try:
                        return await self._try(pass_on, admit)
                    except _TryElsewhere as error:
                        last = error.refusal
        except TimeoutError as error:
            raise last from error
        raise last

    async def _try(
        self,
        pass_on: Callable[[Owner], Awaitable[Passed]],
        admit: Callable[[Entrance], Entrance],
    ) -> tuple[Call, Participant] | Passed:
        """Raises CallError, Refused, _TryElsewhere."""
        entry = self._reception.entry
        with self._reception.answering():
            if self._forwarded:
                where: Here | There = await entry.local(self._join)
            else:
                where = await entry.route(self._join, self._excluded)
            if isinstance(where, Here):
                return await self._enter(admit(where.entrance))
        return await self._pass_on(where, pass_on)

    async def _enter(self, entrance: Entrance) -> tuple[Call, Participant]:
        host = self._reception.host
        try:
            return await host.enter(entrance, self._outbox, self._join.id)
        except CallError as error:
            hosted = host.has(room=entrance.room, call=None) is not None
            if hosted or self._forwarded or error.code not in ELSEWHERE:
                raise
            self._excluded.add(self._reception.uid)
            raise _TryElsewhere(error) from error
        except OwnedElsewhere as error:
            if self._forwarded:
                raise wrong_pod() from error
            raise _TryElsewhere(wrong_pod()) from error

    async def _pass_on(self, there: There, pass_on: Callable[[Owner], Awaitable[Passed]]) -> Passed:
        owner = there.owner
        try:
            return await pass_on(owner)
        except NotServed as error:
            logger.info(
                "a pod did not take a join",
                extra={"owner": owner.uid, "code": error.code, "detail": str(error)},
            )
            if there.placed and (error.code is None or error.code in ELSEWHERE):
                self._excluded.add(owner.uid)
                raise _TryElsewhere(_unreachable("No pod took the call.")) from error
            if error.code in GONE:
                raise _TryElsewhere(_unreachable("The call's pod has changed.")) from error
            if not isinstance(error, Refused):
                raise _unreachable("The call's pod cannot be reached.") from error
            raise


class _TryElsewhere(Exception):  # noqa: N818 - no error: another round
    """This pod does not take the join; `refusal` is the answer if no other does."""

    def __init__(self, refusal: CallError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _unreachable(message: str) -> CallError:
    return CallError(
        "wrong_pod",
        message,
        "Try again in a few seconds: the call of a pod that is gone moves to another one.",
        retry_after_ms=RETRY_AFTER_MS,
    )


def wrong_pod() -> CallError:
    """The refusal of what belongs to another pod."""
    return CallError("wrong_pod", "Another pod owns this call.", "Look the call's owner up again.")

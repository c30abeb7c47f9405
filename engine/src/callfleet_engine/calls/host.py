"""The calls of this pod: how people enter, resume, leave, and how calls end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from random import Random
from weakref import WeakValueDictionary

from callfleet_engine.background import Background
from callfleet_engine.calls.admission import AdmissionControl
from callfleet_engine.calls.call import Call
from callfleet_engine.calls.journal import Journal
from callfleet_engine.calls.ownership import Ownership, unknown_call
from callfleet_engine.calls.participant import (
    MEDIA_TIMEOUT_SECONDS,
    Outbox,
    Participant,
    Services,
)
from callfleet_engine.errors import CallError
from callfleet_engine.media.interface import MediaPlane
from callfleet_engine.metrics import DropCause, Metrics
from callfleet_engine.signalling.messages import Ended, EndReason, MessageId, Reconnect
from callfleet_engine.store.interface import CallRoute
from callfleet_engine.store.interface import Participant as Recorded
from callfleet_engine.tokens import Grant, Permission

logger = logging.getLogger(__name__)

RESUME_GRACE_SECONDS = 10.0
"""How long a participant without a socket stays in the call."""

END_RECORDED_SECONDS = 1.0
"""How long a room's next call waits for the record that the former one has ended."""

DOUBT_SECONDS = 1.0
"""Between two tries to learn whether a call is still this pod's."""

RECONNECT_SPREAD_MS = 2_000
"""Clients sent elsewhere at one moment come back spread over this time."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """A verified wish to enter a room's call."""

    grant: Grant
    room: str
    call: str | None
    """The call that is meant; None: whichever the room has, or a new one."""
    name: str
    resume: str | None


class CallHost:
    """Every method belongs to the event loop's thread; counts and states change between awaits."""

    def __init__(
        self,
        *,
        plane: MediaPlane,
        admission: AdmissionControl,
        ownership: Ownership,
        journal: Journal,
        services: Services,
        metrics: Metrics,
        random: Random,
        resume_grace_seconds: float = RESUME_GRACE_SECONDS,
    ) -> None:
        self._plane = plane
        self._admission = admission
        self._ownership = ownership
        self._journal = journal
        self._services = services
        self._metrics = metrics
        self._random = random
        self.resume_grace_seconds = resume_grace_seconds
        self._calls: dict[str, Call] = {}
        self._by_resume: dict[str, tuple[Call, Participant]] = {}
        self._graces: dict[str, asyncio.TimerHandle] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing: dict[str, asyncio.Event] = {}
        self._background = Background()

    @property
    def graces(self) -> int:
        """Participants without a socket."""
        return len(self._graces)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of this moment."""
        return tuple(self._calls.values())

    def has(self, *, room: str | None, call: str | None) -> Call | None:
        """The call of a room, or with an identifier, if this pod hosts it."""
        if room is not None:
            return self._calls.get(room)
        return next((hosted for hosted in self._calls.values() if hosted.id == call), None)

    async def enter(
        self, entrance: Entrance, outbox: Outbox, message_id: MessageId
    ) -> tuple[Call, Participant]:
        """Resume, or join the room's call, which is started or taken over if need be.

        Raises CallError, OwnedElsewhere.
        """
        resumed = self._resume(entrance, outbox, message_id)
        if resumed:
            return resumed
        self._services.ice.require_relay()
        lock = self._opening.setdefault(entrance.room, asyncio.Lock())
        async with lock:
            ticket = self._admission.begin_join(entrance.room)
            try:
                call = self._calls.get(entrance.room) or await self._open(entrance)
                if entrance.call is not None and call.id != entrance.call:
                    raise unknown_call()
                participant = self._add(call, entrance)
                ticket.admit()
            finally:
                ticket.release()
                self._end_if_empty(self._calls.get(entrance.room), "left")
        call.welcome(participant, outbox, message_id)
        return call, participant

    def socket_closed(self, call: Call, participant: Participant, outbox: Outbox) -> None:
        """The grace to resume begins, unless the participant has another socket by now."""
        if participant in call and participant.detach(outbox):
            self._graces[participant.id] = asyncio.get_running_loop().call_later(
                self.resume_grace_seconds, self.leave, call, participant, "left"
            )

    def leave(
        self,
        call: Call,
        participant: Participant,
        reason: EndReason,
        message_id: MessageId = None,
    ) -> None:
        """The participant is no longer in the call; nothing happens if that is so already."""
        if participant not in call:
            return
        self._take_out(call, participant)
        participant.dismiss(Ended(id=message_id, reason=reason))
        self._journal.left(call.route, participant.id, reason)
        self._background.run(participant.close(), f"media of {participant.id}")
        self._end_if_empty(call, reason)

    def end(self, call: Call, reason: EndReason) -> None:
        """End the call for all who are in it."""
        for participant in call:
            self.leave(call, participant, reason)

    def end_all(self, reason: EndReason) -> None:
        """End every call."""
        for call in self.calls:
            if reason == "pod_terminated":
                self._metrics.call_drops.labels("pod_terminated").inc(len(call))
            self.end(call, reason)

    def lost(self, route: CallRoute) -> None:
        """Another pod owns this call by now: send its people there.

        Nothing happens if this pod has it back under a later epoch.
        """
        call = self._calls.get(route.room)
        if call is None or call.route != route:
            return
        logger.warning("call belongs to another pod", extra={"call": call.id})
        for participant in call:
            self._take_out(call, participant)
            after_ms = self._random.randrange(RECONNECT_SPREAD_MS)
            participant.dismiss(Reconnect(after_ms=after_ms, resume=participant.resume))
            self._background.run(participant.close(), f"media of {participant.id}")
        self._forget(call)

    def doubt_ownership(self) -> None:
        """This pod could not be heard: give up the calls that others have taken over."""
        self._background.run(self._verify_ownership(), "verify ownership")

    async def _verify_ownership(self) -> None:
        for call in self.calls:
            route = await self._route_of(call)
            # None: another pod's maintenance has taken it for abandoned and ended it.
            if route is None or route.epoch != call.route.epoch:
                self.lost(call.route)

    async def _route_of(self, call: Call) -> CallRoute | None:
        while True:
            try:
                return await self._ownership.find(room=None, call=call.id)
            except CallError as error:
                logger.warning("ownership is in doubt", extra={"call": call.id, "why": error.code})
                await asyncio.sleep(DOUBT_SECONDS)

    async def close(self, within_seconds: float) -> None:
        """Wait for the media of those who have left to be closed."""
        for timer in self._graces.values():
            timer.cancel()
        await self._background.finish(within_seconds)

    def _resume(
        self, entrance: Entrance, outbox: Outbox, message_id: MessageId
    ) -> tuple[Call, Participant] | None:
        found = self._by_resume.get(entrance.resume or "")
        if found is None:
            return None
        call, participant = found
        if call.room != entrance.room or participant.grant.identity != entrance.grant.identity:
            return None
        grace = self._graces.pop(participant.id, None)
        if grace:
            grace.cancel()
        call.welcome(participant, outbox, message_id)
        return found

    async def _open(self, entrance: Entrance) -> Call:
        closing = self._closing.get(entrance.room)
        if closing:
            await closing.wait()
        may_start = entrance.call is None and Permission.START in entrance.grant.can
        route = await self._ownership.claim(entrance.room, may_start=may_start)
        call = Call(route, self._plane.open_call(route.call_id), self._services, self._media_fell)
        self._calls[route.room] = call
        self._metrics.calls_started.inc()
        logger.info("call started", extra={"call": call.id, "room": call.room})
        return call

    def _add(self, call: Call, entrance: Entrance) -> Participant:
        participant = call.add(
            secrets.token_hex(8),
            entrance.grant,
            name=entrance.name,
            resume=secrets.token_urlsafe(24),
        )
        self._by_resume[participant.resume] = (call, participant)
        self._journal.joined(
            call.route,
            Recorded(participant.id, entrance.grant.identity, entrance.name),
        )
        return participant

    def _media_fell(self, call: Call, participant: Participant, drop: DropCause | None) -> None:
        if drop is not None:
            self._metrics.call_drops.labels(drop).inc()
        self.leave(call, participant, "media_lost")

    def _take_out(self, call: Call, participant: Participant) -> None:
        grace = self._graces.pop(participant.id, None)
        if grace:
            grace.cancel()
        del self._by_resume[participant.resume]
        call.remove(participant)
        self._admission.leave(call.room)

    def _end_if_empty(self, call: Call | None, reason: str) -> None:
        if call is None or len(call):
            return
        self._journal.ended(call.route, reason)
        logger.info("call ended", extra={"call": call.id, "reason": reason})
        self._forget(call)

    def _forget(self, call: Call) -> None:
        del self._calls[call.room]
        self._metrics.call_duration.observe(call.seconds)
        self._metrics.call_participants.observe(call.most_participants)
        self._closing[call.room] = asyncio.Event()
        self._background.run(self._close(call), f"end of call {call.id}")

    async def _close(self, call: Call) -> None:
        """The room's next call waits for this: it may be the same one, taken back."""
        try:
            async with asyncio.timeout(MEDIA_TIMEOUT_SECONDS):
                await call.close()
            await self._journal.flush(END_RECORDED_SECONDS)
        finally:
            self._closing.pop(call.room).set()

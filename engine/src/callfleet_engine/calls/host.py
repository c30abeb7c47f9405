"""The calls of this pod: how people enter, resume, leave, and how calls end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from weakref import WeakValueDictionary

from callfleet_engine.background import Background
from callfleet_engine.calls.admission import AdmissionControl, Ticket
from callfleet_engine.calls.call import Call
from callfleet_engine.calls.expected import Expected, digest
from callfleet_engine.calls.journal import Journal
from callfleet_engine.calls.ownership import Look, Ownership, refusal, unknown_call
from callfleet_engine.calls.participant import MEDIA_TIMEOUT_SECONDS, Participant
from callfleet_engine.calls.surroundings import Outbox, Services
from callfleet_engine.errors import CallError
from callfleet_engine.media.interface import MediaPlane
from callfleet_engine.metrics import DropCause, Metrics
from callfleet_engine.presets import Chosen
from callfleet_engine.signalling.messages import Ended, EndReason, MessageId, Reconnect
from callfleet_engine.store.interface import FIRST_EPOCH, CallRoute, StoreUnavailable
from callfleet_engine.store.interface import Participant as Recorded
from callfleet_engine.tokens import Grant, Permission

logger = logging.getLogger(__name__)

RESUME_GRACE_SECONDS = 10.0
"""How long a participant without a socket stays in the call."""

END_RECORDED_SECONDS = 3.0
"""How long a room's next call waits for the record that the former one has ended."""

MOVE_RECORDED_SECONDS = 1.0
"""How long a move waits for the records of those who came a moment ago."""

DOUBT_SECONDS = 1.0
"""Between two tries to learn whether a call is still this pod's."""

RECONNECT_SPREAD_MS = 2_000
"""Clients sent elsewhere at one moment come back spread over this time."""

CALL_SPREAD_MS = 250
"""Those of one call that moves: meanwhile they do not hear one another."""

MEDIA_LINGER_SECONDS = 1.0
"""Media of a call that has moved flows on the old pod so long after the last one was to leave."""

RETURN_SECONDS = 30.0
"""How long those of a call that has moved may take to come; clients try as long."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """A verified wish to enter a room's call."""

    grant: Grant
    room: str
    call: str | None
    """The call that is meant; None: whichever the room has, or a new one."""
    name: str
    resume: str | None
    preset: str | None = None
    """Of quality; None: the default."""
    client_offers: bool = False
    """It comes by WHIP or WHEP: nothing can be offered to it, or told."""
    look: Look | None = None
    """Where the store was asked for the room's call a moment ago."""


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
        return_seconds: float = RETURN_SECONDS,
    ) -> None:
        self._plane = plane
        self._admission = admission
        self._ownership = ownership
        self._journal = journal
        self._services = services
        self._metrics = metrics
        self._random = random
        self.resume_grace_seconds = resume_grace_seconds
        self.return_seconds = return_seconds
        self._calls: dict[str, Call] = {}
        self._by_resume: dict[str, tuple[Call, Participant]] = {}
        self._graces: dict[str, asyncio.TimerHandle] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing: dict[str, asyncio.Event] = {}
        self._returns: dict[str, asyncio.TimerHandle] = {}
        self._moving: set[str] = set()
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
        presets, returning = self._services.presets.value, entrance.resume is not None
        chosen = presets.choose(entrance.preset, returning=returning)
        async with self._lock(entrance.room):
            ticket = await self._begin_join(entrance)
            try:
                call = self._calls.get(entrance.room) or await self._open(entrance)
                if entrance.call is not None and call.id != entrance.call:
                    raise unknown_call()
                participant = self._add(call, entrance, chosen)
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
        """End the call for all who are in it, or are expected back."""
        self._expect_nobody(call)
        for participant in call:
            self.leave(call, participant, reason)
        if call in self.calls:
            self._end_if_empty(call, reason)

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
        if call is None or call.route != route or call.id in self._moving:
            return
        logger.warning("call belongs to another pod", extra={"call": call.id})
        self._send_elsewhere(call, from_ms=0, spread_ms=RECONNECT_SPREAD_MS, media_seconds=0)

    async def move(self, call: Call, *, within_ms: int) -> None:
        """Give the call up for another pod to take over, and send its people there.

        They leave at about one moment, drawn from `within_ms`; until then media flows here.
        Raises CallError `store_unavailable`: the call stays.
        """
        self._moving.add(call.id)
        try:
            async with self._lock(call.room):
                # The next owner is to know those who came a moment ago.
                if not await self._journal.flush(MOVE_RECORDED_SECONDS):
                    late = StoreUnavailable("The database takes no records.", "Try again later.")
                    raise refusal(late)
                route = await self._ownership.release(call.route)
        finally:
            self._moving.discard(call.id)
        if call in self.calls:
            logger.info("call given up", extra={"call": call.id, "people": len(call)})
            self._metrics.calls_moved.labels("out").inc()
            at_ms = self._random.randrange(within_ms)
            seconds = (at_ms + CALL_SPREAD_MS) / 1000 + MEDIA_LINGER_SECONDS
            self._send_elsewhere(
                call, from_ms=at_ms, spread_ms=CALL_SPREAD_MS, media_seconds=seconds
            )
        elif route is not None and route.released:
            # All have left meanwhile, and nobody can write that under the old epoch.
            self._journal.ended(route, "left")

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
        for timer in (*self._graces.values(), *self._returns.values()):
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

    def _lock(self, room: str) -> asyncio.Lock:
        return self._opening.setdefault(room, asyncio.Lock())

    async def _begin_join(self, entrance: Entrance) -> Ticket:
        """Raises CallError."""
        call = self._calls.get(entrance.room)
        if call is not None:
            returning = call.expected.who(entrance.resume, entrance.grant.identity) is not None
            return self._admission.begin_join(entrance.room, returning=returning)
        look = entrance.look or Look(await self._ownership.find(room=entrance.room, call=None))
        route = look.route
        people = len(await self._ownership.present(route)) if route else 0
        try:
            return self._admission.begin_join(entrance.room, moving=people)
        except CallError as error:
            if route and error.code == "draining" and self._ownership.was_mine(route):
                await self._ownership.release(route)
            raise

    async def _open(self, entrance: Entrance) -> Call:
        closing = self._closing.get(entrance.room)
        if closing:
            await closing.wait()
        may_start = entrance.call is None and Permission.START in entrance.grant.can
        route = await self._ownership.claim(entrance.room, may_start=may_start, look=entrance.look)
        moved = route.epoch > FIRST_EPOCH
        expected = Expected(await self._ownership.present(route) if moved else ())
        media = self._plane.open_call(route.call_id)
        call = Call(route, media, self._services, self._media_fell, expected)
        self._calls[route.room] = call
        if moved:
            self._metrics.calls_moved.labels("in").inc()
            self._admission.expect(call.room, len(expected))
            self._returns[call.room] = asyncio.get_running_loop().call_later(
                self.return_seconds, self._give_up, call
            )
        else:
            self._metrics.calls_started.inc()
        logger.info(
            "call taken over" if moved else "call started",
            extra={"call": call.id, "room": call.room, "expected": len(expected)},
        )
        return call

    def _give_up(self, call: Call) -> None:
        """Those who have not come from the former pod by now are out."""
        for missing in call.expected.give_up():
            self._journal.left(call.route, missing.participant_id, "not_returned")
            self._metrics.call_drops.labels("not_returned").inc()
        self._expect_nobody(call)
        self._end_if_empty(call, "left")

    def _expect_nobody(self, call: Call) -> None:
        call.expected.give_up()
        self._admission.expect(call.room, 0)
        timer = self._returns.pop(call.room, None)
        if timer:
            timer.cancel()

    def _add(self, call: Call, entrance: Entrance, chosen: Chosen) -> Participant:
        grant, name = entrance.grant, entrance.name
        returning = call.expected.who(entrance.resume, grant.identity)
        fresh = secrets.token_urlsafe(24)
        participant = call.add(
            returning.participant_id if returning else secrets.token_hex(8),
            grant,
            name=name,
            resume=(returning and entrance.resume) or fresh,
            client_offers=entrance.client_offers,
            chosen=chosen,
        )
        self._by_resume[participant.resume] = (call, participant)
        if returning:
            call.expected.arrived(returning)
            self._admission.expect(call.room, len(call.expected))
        else:
            known_by = digest(participant.resume)
            self._journal.joined(
                call.route, Recorded(participant.id, grant.identity, name, known_by)
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

    def _send_elsewhere(
        self, call: Call, *, from_ms: int, spread_ms: int, media_seconds: float
    ) -> None:
        for participant in call:
            self._take_out(call, participant)
            after_ms = from_ms + self._random.randrange(spread_ms)
            participant.dismiss(Reconnect(after_ms=after_ms, resume=participant.resume))
            self._background.run(
                _later(media_seconds, participant.close), f"media of {participant.id}"
            )
        self._forget(call, media_seconds)

    def _end_if_empty(self, call: Call | None, reason: str) -> None:
        if call is None or len(call) or len(call.expected):
            return
        self._journal.ended(call.route, reason)
        logger.info("call ended", extra={"call": call.id, "reason": reason})
        self._forget(call)

    def _forget(self, call: Call, media_seconds: float = 0) -> None:
        self._expect_nobody(call)
        del self._calls[call.room]
        self._metrics.call_duration.observe(call.seconds)
        self._metrics.call_participants.observe(call.most_participants)
        self._closing[call.room] = asyncio.Event()
        self._background.run(self._close(call, media_seconds), f"end of call {call.id}")

    async def _close(self, call: Call, media_seconds: float) -> None:
        """The room's next call waits for this: it may be the same one, taken back."""
        try:
            await asyncio.sleep(media_seconds)
            async with asyncio.timeout(MEDIA_TIMEOUT_SECONDS):
                await call.close()
            await self._journal.flush(END_RECORDED_SECONDS)
        finally:
            self._closing.pop(call.room).set()


async def _later(seconds: float, close: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(seconds)
    await close()

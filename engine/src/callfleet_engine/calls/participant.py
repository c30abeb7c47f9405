"""One participant: a client's messages in, messages to the client and to the others out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from callfleet_engine.calls.ice import Reports, failure
from callfleet_engine.calls.media_events import SessionEvents
from callfleet_engine.calls.quality import Kept
from callfleet_engine.calls.sdp import sources_sent
from callfleet_engine.calls.surroundings import Outbox, Services, Surroundings
from callfleet_engine.errors import CallError, error_code
from callfleet_engine.media.interface import (
    SOURCES,
    FailureCause,
    IceCandidateInit,
    LossCause,
    MediaError,
    MediaSession,
    ParticipantStats,
    Path,
    PeerConnection,
    Source,
)
from callfleet_engine.metrics import DropCause
from callfleet_engine.presets import Chosen
from callfleet_engine.signalling.layer_messages import Speaker
from callfleet_engine.signalling.messages import (
    Ended,
    IceServersUpdate,
    Joined,
    MessageId,
    Offer,
    Presence,
    Reconnect,
    Report,
    ServerMessage,
    Toggle,
)
from callfleet_engine.tokens import Grant
from callfleet_engine.turn.ice_servers import IceServers
from callfleet_engine.turn.relays import RelayIdentity

logger = logging.getLogger(__name__)

MEDIA_TIMEOUT_SECONDS = 10
"""For one operation of the media plane."""

RENEW_AGAIN_SECONDS = 30.0
"""After a renewal for which there was no relay."""

MAX_RELAY_CHANGES = 3
"""Relays a client is given after the first, so that no client wanders through a pool for ever."""


class Participant:
    """Somebody in a call, from `joined` to `ended`; sockets may change meanwhile."""

    def __init__(
        self,
        participant_id: str,
        grant: Grant,
        *,
        name: str,
        resume: str,
        chosen: Chosen,
        client_offers: bool,
        surroundings: Surroundings,
        services: Services,
    ) -> None:
        """`client_offers`: it comes by WHIP or WHEP, where the server has no way to speak first.

        Raises CallError `no_relay`.
        """
        self.id = participant_id
        self.grant = grant
        self.name = name
        self.resume = resume
        self.client_offers = client_offers
        self._surroundings = surroundings
        self._services = services
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        """Its first moment here, in seconds of the event loop's clock."""
        self._outbox: Outbox | None = None
        self._held_back: set[Source] = set()
        self._kept = Kept(chosen)
        self._published: frozenset[Source] = frozenset()
        self._offer: Offer | None = None
        self._speaker: Speaker | None = None
        self._reports = Reports()
        self._attempted: set[PeerConnection] = set()
        self._connected: set[PeerConnection] = set()
        self._had_media = False
        self._tried: set[RelayIdentity] = set()
        self._renewal: asyncio.TimerHandle | None = None
        self._ice: IceServers
        self._take(services.ice.issue(participant_id))
        self._media_lock = asyncio.Lock()
        self._open_media()

    @property
    def chosen(self) -> Chosen:
        """Its preset of quality."""
        return self._kept.chosen

    @property
    def presence(self) -> Presence:
        """What others know of this participant."""
        return Presence(
            participant=self.id,
            name=self.name,
            identity=self.grant.identity,
            audio=self._sends("microphone"),
            video=self._sends("camera"),
            screen=self._sends("screen"),
        )

    @property
    def here(self) -> bool:
        """Whether there is a socket; without one the grace to resume runs."""
        return self._outbox is not None

    def send(self, message: ServerMessage) -> None:
        """To this participant's client; lost while there is no socket."""
        if self._outbox:
            self._outbox.send(message)

    def attach(
        self, outbox: Outbox, message_id: MessageId, describe: Callable[[IceServers], Joined]
    ) -> None:
        """Take this socket; one that was there before is told that it was replaced."""
        if self._outbox:
            self._outbox.send(Ended(reason="replaced"))
            self._outbox.close("replaced")
        self._outbox = outbox
        self.send(describe(self._ice).model_copy(update={"id": message_id}))
        if self._offer:
            self.send(self._offer)
        if self._speaker:
            self.send(self._speaker)

    def detach(self, outbox: Outbox) -> bool:
        """The socket has gone; whether it was the present one."""
        if self._outbox is not outbox:
            return False
        self._outbox = None
        return True

    def dismiss(self, last: Ended | Reconnect) -> None:
        """Say the last message and close the socket; what becomes of the media is of no concern."""
        self._events.active = False
        self.send(last)
        if self._outbox:
            self._outbox.close("reconnect" if isinstance(last, Reconnect) else last.reason)
            self._outbox = None

    async def close(self) -> None:
        """End the media."""
        if self._renewal:
            self._renewal.cancel()
        self._events.active = False
        async with asyncio.timeout(MEDIA_TIMEOUT_SECONDS):
            await self._media.close()

    async def publish(self, offer: str, preset: str | None = None) -> str:
        """The answer to an offer; None: the preset stays.

        Raises CallError `bad_sdp`, `not_permitted`, `unknown_preset`.
        """
        chosen = None if preset is None else self._services.presets.value.choose(preset)
        async with self._media_operation() as media:
            if chosen is not None:
                self._kept = Kept(chosen)
                self._kept.bind(media, self._wanted)
            answer = self._kept.answered(await media.publish(offer))
        self._attempted.add("publish")
        published = sources_sent(offer)
        if published != self._published or chosen is not None:
            self._published = published
            self._surroundings.toggled(self)
        return answer

    async def play(self, offer: str) -> str:
        """The answer to an offer to receive. Raises CallError `bad_sdp`, `not_permitted`."""
        async with self._media_operation() as media:
            answer = await media.play(offer)
        self._attempted.add("subscribe")
        return answer

    async def subscribe(self, answer: str) -> None:
        """Take the answer to the outstanding offer. Raises CallError `bad_sdp`."""
        answered = self._offer
        async with self._media_operation() as media:
            await media.answer(answer)
        # The next offer may have come while the media plane took the answer.
        if self._offer is answered:
            self._offer = None

    async def add_candidate(self, pc: PeerConnection, candidate: IceCandidateInit | None) -> None:
        """Take a trickled candidate. Raises CallError `bad_sdp`."""
        async with self._media_operation() as media:
            await media.add_candidate(pc, candidate)

    async def restart_ice(self) -> None:
        """An offer with new ICE credentials follows. Raises CallError `not_joined`."""
        async with self._media_operation() as media:
            media.restart_ice()

    def toggle(self, toggle: Toggle) -> None:
        """Send, or hold back what the message names."""
        before = self.presence
        named = {"microphone": toggle.audio, "camera": toggle.video, "screen": toggle.screen}
        wanted = {source: named[source] for source in SOURCES}
        sending = {source: on for source, on in wanted.items() if on is not None}
        for source, on in sending.items():
            (self._held_back.discard if on else self._held_back.add)(source)
        self._kept.set_sending(self._media, sending)
        if self.presence != before:
            self._surroundings.toggled(self)

    async def prefer_layer(self, participant: str, source: Source, most: int | None) -> None:
        """Get at most this layer of somebody's track. Raises CallError `bad_message`."""
        async with self._media_operation() as media:
            media.prefer_layer(participant, source, most)

    async def report(self, report: Report) -> None:
        """Take what the client met; a relay that did not serve is replaced by another."""
        relay_failed = self._reports.add(report)
        failed = self._ice.relay
        if not relay_failed or failed is None or len(self._tried) >= MAX_RELAY_CHANGES:
            return
        self._tried.add(failed.identity)
        fresh = self._services.ice.issue(self.id, tried=self._tried)
        if fresh.relay is None or fresh.relay.identity in self._tried:
            return
        logger.info(
            "relay replaced after a report",
            extra={
                "participant": self.id,
                "from": failed.pod,
                "to": fresh.relay.pod,
                "causes": sorted(self._reports.causes),
            },
        )
        restart = not self._connected
        if restart:
            for pc in self._attempted:
                self._count_failure(pc, "ice")
            await self._restart_media()
        self._take(fresh)
        self.send(IceServersUpdate(ice_servers=fresh.servers, restart=restart))

    def uses(self, relays: Collection[RelayIdentity]) -> bool:
        """Whether the client was given one of these relays."""
        return self._ice.relay is not None and self._ice.relay.identity in relays

    async def leave_relay(self) -> None:
        """Begin media anew over another relay. Nothing happens while there is no socket to say so,
        or no other relay. Raises CallError `no_relay`."""
        fresh = self._services.ice.issue(self.id)
        if (
            not self.here
            or self.client_offers
            or fresh.relay is None
            or self.uses({fresh.relay.identity})
        ):
            return
        await self._restart_media()
        self._take(fresh)
        self.send(IceServersUpdate(ice_servers=fresh.servers, restart=True))

    def statistics(self) -> ParticipantStats:
        """A snapshot of the media's figures."""
        return self._media.stats()

    def media_offer(self, offer: Offer) -> None:
        """The media plane has something for this participant to receive."""
        self._offer = offer
        self._attempted.add("subscribe")
        self.send(offer)

    def media_speaker(self, speaker: Speaker) -> None:
        """Somebody else speaks."""
        self._speaker = speaker
        self.send(speaker)

    def name_of(self, participant_id: str) -> str:
        """What people call a participant of the call."""
        return self._surroundings.name_of(participant_id)

    def media_connected(self, pc: PeerConnection, path: Path) -> None:
        """Media flows on `pc`."""
        # A pair may connect before the client has named the relay's candidate; where clients come
        # by relays only there is no doubt.
        self._services.metrics.connected("relayed" if self._services.ice.required else path)
        if not self._had_media:
            self._services.metrics.join_seconds.observe(self._loop.time() - self.began)
        self._had_media = True
        self._connected.add(pc)

    def media_failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        """No media will flow on `pc`."""
        self._count_failure(pc, cause)
        self._surroundings.fallen(self, "media_lost" if self._had_media else None)

    def media_lost(self, cause: LossCause) -> None:
        """Media has ended."""
        logger.info("media lost", extra={"participant": self.id, "cause": cause})
        drop: DropCause | None = "media_lost" if cause == "consent" and self.here else None
        self._surroundings.fallen(self, "internal" if cause == "internal" else drop)

    def _count_failure(self, pc: PeerConnection, cause: FailureCause) -> None:
        path, told = failure(pc, cause, self._reports, relay_only=self._services.ice.required)
        self._services.metrics.not_connected(path, told)
        logger.warning(
            "a peer connection did not connect",
            extra={"participant": self.id, "pc": pc, "path": path, "cause": told},
        )

    def _sends(self, source: Source) -> bool:
        withheld = source in self._held_back or source in self._kept.withheld
        return source in self._published and not withheld

    @property
    def _wanted(self) -> dict[Source, bool]:
        return {source: source not in self._held_back for source in SOURCES}

    def _open_media(self) -> None:
        self._events = SessionEvents(self)
        self._media = self._surroundings.open_media(self, self._events)
        self._kept.bind(self._media, self._wanted)

    @asynccontextmanager
    async def _media_operation(self) -> AsyncIterator[MediaSession]:
        try:
            async with asyncio.timeout(MEDIA_TIMEOUT_SECONDS), self._media_lock:
                yield self._media
        except MediaError as error:
            code = error_code(error.code)
            raise CallError(code, error.message, error.remedy) from error
        except TimeoutError as error:
            raise CallError(
                "internal", "The media plane did not answer in time.", "Join again."
            ) from error

    async def _restart_media(self) -> None:
        self._attempted, self._connected = set(), set()
        self._reports.forget()
        self._offer = None
        self._events.active = False
        async with self._media_operation() as media:
            await media.close()
            self._open_media()

    def _take(self, ice: IceServers) -> None:
        self._ice = ice
        self._renew_after(ice.renew_after_seconds)

    def _renew_after(self, seconds: float | None) -> None:
        if self._renewal:
            self._renewal.cancel()
        self._renewal = None if seconds is None else self._loop.call_later(seconds, self._renew)

    def _renew(self) -> None:
        try:
            self._take(self._services.ice.issue(self.id, keep=self._ice.relay, tried=self._tried))
        except CallError as error:
            logger.warning(
                "credentials cannot be renewed now",
                extra={"participant": self.id, "code": error.code},
            )
            self._renew_after(RENEW_AGAIN_SECONDS)
        else:
            self.send(IceServersUpdate(ice_servers=self._ice.servers))

"""One call: who is in it, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Literal

from callfleet_engine.calls.expected import Expected
from callfleet_engine.calls.participant import Participant
from callfleet_engine.calls.statistics import inbound, outbound
from callfleet_engine.calls.surroundings import Outbox, Services
from callfleet_engine.media.interface import MediaCall, MediaEvents, MediaSession
from callfleet_engine.metrics import DropCause
from callfleet_engine.presets import Chosen
from callfleet_engine.signalling.messages import (
    Joined,
    MessageId,
    ParticipantEvent,
    ParticipantStatistics,
    ServerMessage,
)
from callfleet_engine.signalling.quality import OwnQuality
from callfleet_engine.store.interface import CallRoute
from callfleet_engine.tokens import Grant, Permission
from callfleet_engine.turn.ice_servers import IceServers


class Call:
    """A call that this pod hosts under one epoch of its route."""

    def __init__(
        self,
        route: CallRoute,
        media: MediaCall,
        services: Services,
        on_fallen: Callable[[Call, Participant, DropCause | None], None],
        expected: Expected,
    ) -> None:
        """`on_fallen`: a participant without media; why, if against the participant's will."""
        self.route = route
        self.expected = expected
        """Who was in it on another pod and is to come."""
        self.most_participants = 0
        self._media = media
        self._services = services
        self._on_fallen = on_fallen
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._participants: dict[str, Participant] = {}

    @property
    def id(self) -> str:
        """The call's stable identifier."""
        return self.route.call_id

    @property
    def room(self) -> str:
        """The room it takes place in."""
        return self.route.room

    @property
    def seconds(self) -> float:
        """How long it has been on this pod."""
        return self._loop.time() - self._began

    def quiet_since(self, moment: float) -> bool:
        """Whether nothing has come or changed since then (seconds of the event loop's clock), so
        that the counts of its streams are as they were."""
        return self._media.active_at <= moment

    @property
    def people(self) -> int:
        """Participants, and those who are to come from another pod."""
        return len(self) + len(self.expected)

    def __iter__(self) -> Iterator[Participant]:
        return iter(tuple(self._participants.values()))

    def __len__(self) -> int:
        return len(self._participants)

    def __contains__(self, participant: Participant) -> bool:
        return self._participants.get(participant.id) is participant

    def add(
        self,
        participant_id: str,
        grant: Grant,
        *,
        name: str,
        resume: str,
        chosen: Chosen,
        client_offers: bool = False,
    ) -> Participant:
        """Take somebody in and tell the others. Raises CallError `no_relay`."""
        participant = Participant(
            participant_id,
            grant,
            name=name,
            resume=resume,
            chosen=chosen,
            client_offers=client_offers,
            surroundings=self,
            services=self._services,
        )
        self._announce("joined", participant)
        self._participants[participant_id] = participant
        self.most_participants = max(self.most_participants, len(self))
        return participant

    def remove(self, participant: Participant) -> None:
        """Take somebody out and tell the others."""
        del self._participants[participant.id]
        self._announce("left", participant)

    def welcome(self, participant: Participant, outbox: Outbox, message_id: MessageId) -> None:
        """Connect a participant's client and tell it where it is."""

        def describe(ice: IceServers) -> Joined:
            return Joined(
                call=self.id,
                epoch=self.route.epoch,
                pod=self._services.pod_name,
                room=self.room,
                participant=participant.id,
                name=participant.name,
                resume=participant.resume,
                ice_servers=ice.servers,
                ice_transport_policy="relay" if self._services.ice.required else "all",
                participants=tuple(p.presence for p in self if p is not participant),
                quality=OwnQuality.of(self._services.presets.value, participant.chosen),
            )

        participant.attach(outbox, message_id, describe)

    def statistics(self, asking: Participant) -> tuple[ParticipantStatistics, ...]:
        """What everybody publishes, and what the one who asks is sent.

        What all the others are sent would grow with the square of their number.
        """
        answer = []
        for participant in self:
            stats = participant.statistics()
            sent = stats.subscribed if participant is asking else ()
            answer.append(
                ParticipantStatistics(
                    participant=participant.id,
                    published=tuple(inbound(stream) for stream in stats.published),
                    subscribed=tuple(outbound(stream) for stream in sent),
                )
            )
        return tuple(answer)

    async def close(self) -> None:
        """End all media."""
        await self._media.close()

    def open_media(self, participant: Participant, events: MediaEvents) -> MediaSession:
        """A media session with what the participant's token permits."""
        return self._media.join(
            participant.id,
            events,
            can_publish=Permission.PUBLISH in participant.grant.can,
            can_subscribe=Permission.SUBSCRIBE in participant.grant.can,
            client_offers=participant.client_offers,
        )

    def toggled(self, participant: Participant) -> None:
        """Tell the others what the participant sends now."""
        self._announce("toggled", participant)

    def name_of(self, participant_id: str) -> str:
        """A participant's name or identity; the id for somebody without, or who has left."""
        participant = self._participants.get(participant_id)
        if participant is None:
            return participant_id
        return participant.name or participant.grant.identity or participant_id

    def fallen(self, participant: Participant, drop: DropCause | None) -> None:
        """Media never came about, or ended."""
        self._on_fallen(self, participant, drop)

    def _announce(self, event: Literal["joined", "left", "toggled"], about: Participant) -> None:
        self._tell_others(about, ParticipantEvent(event=event, **about.presence.model_dump()))

    def _tell_others(self, one: Participant, message: ServerMessage) -> None:
        for participant in self:
            if participant is not one:
                participant.send(message)

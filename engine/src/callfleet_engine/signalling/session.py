"""A joined client's messages: each one is an act of its participant. No socket in here."""

from __future__ import annotations

from typing import cast

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.host import CallHost
from callfleet_engine.calls.participant import Participant
from callfleet_engine.calls.surroundings import Outbox
from callfleet_engine.errors import CallError
from callfleet_engine.media.interface import IceCandidateInit
from callfleet_engine.signalling.access import require
from callfleet_engine.signalling.messages import (
    Candidate,
    ClientMessage,
    End,
    Error,
    Join,
    Layer,
    Leave,
    Publish,
    Published,
    Report,
    Restart,
    Stats,
    StatsRequest,
    Subscribe,
    Toggle,
)
from callfleet_engine.tokens import Permission


class Session:
    """One socket of one participant."""

    def __init__(self, host: CallHost, call: Call, participant: Participant) -> None:
        self._host = host
        self._call = call
        self._participant = participant

    def socket_closed(self, outbox: Outbox) -> None:
        """The participant's grace to resume begins."""
        self._host.socket_closed(self._call, self._participant, outbox)

    async def handle(self, message: ClientMessage) -> None:
        """Do what the message asks for, or tell the client why not."""
        if self._participant not in self._call:
            return
        try:
            await self._act(message)
        except CallError as error:
            self._participant.send(Error.of(error, message.id))

    async def _act(self, message: ClientMessage) -> None:
        participant = self._participant
        match message:
            case StatsRequest():
                figures = self._call.statistics(participant)
                participant.send(Stats(id=message.id, participants=figures))
            case Leave():
                self._host.leave(self._call, participant, "left", message.id)
            case End():
                require(participant.grant, Permission.MODERATE)
                self._host.end(self._call, "ended")
            case Join():
                raise CallError(
                    "bad_message",
                    "This socket has joined already.",
                    "Open another WebSocket to join another call.",
                )
            case _:
                await self._act_on_media(message)

    async def _act_on_media(
        self, message: Publish | Subscribe | Candidate | Toggle | Layer | Restart | Report
    ) -> None:
        participant = self._participant
        match message:
            case Publish():
                answer = await participant.publish(message.offer, message.preset)
                participant.send(Published(id=message.id, answer=answer))
            case Subscribe():
                await participant.subscribe(message.answer)
            case Candidate():
                await participant.add_candidate(message.pc, _candidate(message))
            case Toggle():
                participant.toggle(message)
            case Layer():
                await participant.prefer_layer(message.participant, message.source, message.most)
            case Restart():
                await participant.restart_ice()
            case Report():
                await participant.report(message)


def _candidate(message: Candidate) -> IceCandidateInit | None:
    if message.candidate is None:
        return None
    return cast("IceCandidateInit", message.candidate.model_dump(by_alias=True))

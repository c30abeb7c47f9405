"""What a participant needs of what is around it: its socket, its call, its pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from callfleet_engine.media.interface import MediaEvents, MediaSession
from callfleet_engine.metrics import DropCause, Metrics
from callfleet_engine.presets import PresetsSource
from callfleet_engine.signalling.messages import ServerMessage
from callfleet_engine.turn.ice_servers import IceServerSource

if TYPE_CHECKING:
    from callfleet_engine.calls.participant import Participant


class Outbox(Protocol):
    """The way to one client. Sending never waits; a client that does not read is cut off."""

    def send(self, message: ServerMessage) -> None:
        """Queue a message; nothing happens once it is closed."""
        ...

    def close(self, code: str) -> None:
        """Close the socket once everything queued has been sent."""
        ...


class Surroundings(Protocol):
    """What a participant needs of the call it is in."""

    def open_media(self, participant: Participant, events: MediaEvents) -> MediaSession:
        """A new media session for the participant."""
        ...

    def toggled(self, participant: Participant) -> None:
        """Tell the others what the participant sends now."""
        ...

    def name_of(self, participant_id: str) -> str:
        """What people call a participant; the id if they have no name for it."""
        ...

    def fallen(self, participant: Participant, drop: DropCause | None) -> None:
        """Media never came about, or ended; the participant must leave.

        `drop`: why, if it is against the participant's will.
        """
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What all participants of a pod share."""

    pod_name: str
    ice: IceServerSource
    metrics: Metrics
    presets: PresetsSource

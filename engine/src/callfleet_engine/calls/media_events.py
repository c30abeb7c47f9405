"""What a media session reports, as messages to its participant's client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from callfleet_engine.media.interface import (
    FailureCause,
    LossCause,
    Path,
    PeerConnection,
    SubscribedTrack,
    TrackLayers,
)
from callfleet_engine.signalling.layer_messages import (
    Layers,
    LayersOfTrack,
    Speaker,
    Unsupported,
)
from callfleet_engine.signalling.messages import Offer, OfferedTrack

if TYPE_CHECKING:
    from callfleet_engine.calls.participant import Participant


class SessionEvents:
    """Events of one media session; once it has been replaced or closed they go nowhere."""

    def __init__(self, participant: Participant) -> None:
        self.active = True
        self._participant = participant

    def offer(self, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        """A subscribe offer for the client."""
        if self.active:
            offered = tuple(
                OfferedTrack(
                    mid=track.mid,
                    participant=track.participant,
                    kind=track.kind,
                    source=track.source,
                )
                for track in tracks
            )
            self._participant.media_offer(Offer(offer=sdp, tracks=offered))

    def connected(self, pc: PeerConnection, path: Path, seconds: float) -> None:  # noqa: ARG002
        """Media can flow."""
        if self.active:
            self._participant.media_connected(pc, path)

    def failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        """It never will."""
        if self.active:
            self.active = False
            self._participant.media_failed(pc, cause)

    def lost(self, cause: LossCause) -> None:
        """It does no longer."""
        if self.active:
            self.active = False
            self._participant.media_lost(cause)

    def speaker(self, participant: str | None) -> None:
        """Somebody else speaks."""
        if self.active:
            self._participant.media_speaker(Speaker(participant=participant))

    def layers(self, tracks: Sequence[TrackLayers]) -> None:
        """Other layers are sent."""
        if self.active:
            changed = tuple(
                LayersOfTrack(
                    mid=track.mid,
                    participant=track.participant,
                    source=track.source,
                    layer=track.layer,
                    target=track.target,
                )
                for track in tracks
            )
            self._participant.send(Layers(tracks=changed))

    def untaken(self, track: SubscribedTrack, codec: str, takes: Sequence[str]) -> None:
        """A track comes in a codec that the client lacks."""
        if self.active:
            name = self._participant.name_of(track.participant)
            sent, taken = short_name(codec), " or ".join(map(short_name, takes))
            self._participant.send(
                Unsupported(
                    mid=track.mid,
                    participant=track.participant,
                    source=track.source,
                    codec=codec,
                    takes=tuple(takes),
                    message=f"You cannot receive the {track.source} of {name}: it is sent in"
                    f" {sent}, and your client takes {taken}.",
                    remedy=f"Join with a client that decodes {sent}, or ask {name} for {taken}.",
                )
            )


def short_name(mime_type: str) -> str:
    """`VP8` of `video/VP8`."""
    return mime_type.partition("/")[2]

"""Messages of signalling, subprotocol `callfleet.v1`: docs/reference/contracts.md, "Signalling".

Fields this release does not know are ignored; each one it knows is bounded.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from callfleet_engine.errors import CallError, ErrorCode
from callfleet_engine.media.interface import Kind, PeerConnection, Source
from callfleet_engine.media.layers import HIGHEST
from callfleet_engine.signalling.quality import OwnQuality
from callfleet_engine.store.interface import IDENTIFIER_LENGTH, NAME_LENGTH, ROOM_LENGTH

SUBPROTOCOL = "callfleet.v1"
MAX_MESSAGE_BYTES = 128 * 1024

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=IDENTIFIER_LENGTH)]
Room = Annotated[
    str, StringConstraints(min_length=1, max_length=ROOM_LENGTH, pattern=r"^[A-Za-z0-9._~-]+$")
]
"""Unreserved characters of a URL (RFC 3986, section 2.3), for it stands in the page's link."""
Name = Annotated[str, StringConstraints(max_length=NAME_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$")]
Sdp = Annotated[str, StringConstraints(min_length=1, max_length=120_000)]
PresetName = Annotated[str, StringConstraints(min_length=1, max_length=63)]
CandidateType = Literal["host", "srflx", "prflx", "relay"]


class Content(BaseModel):
    """A message or a part of one."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class _Client(Content):
    id: StrictInt | Annotated[str, StringConstraints(max_length=64, strict=True)] | None = None


class Join(_Client):
    """Enter the call of a room, or a call by its identifier."""

    type: Literal["join"]
    room: Room | None = None
    call: Identifier | None = None
    token: Annotated[str, StringConstraints(max_length=8192)] | None = None
    name: Name = ""
    preset: PresetName | None = None
    resume: Annotated[str, StringConstraints(max_length=64)] | None = None

    @model_validator(mode="after")
    def _room_or_call(self) -> Self:
        if (self.room is None) == (self.call is None):
            raise ValueError("give either room or call")
        return self


class Publish(_Client):
    """Offer what one sends."""

    type: Literal["publish"]
    offer: Sdp
    preset: PresetName | None = None


class Subscribe(_Client):
    """Answer the server's offer."""

    type: Literal["subscribe"]
    answer: Sdp


class IceCandidate(Content):
    """RTCIceCandidateInit (W3C WebRTC, section 4.8.1.1)."""

    candidate: Annotated[str, StringConstraints(max_length=1024)] = ""
    sdp_mid: Annotated[str, StringConstraints(max_length=64)] | None = None
    sdp_m_line_index: Annotated[int, Field(ge=0, le=1024)] | None = Field(
        None, alias="sdpMLineIndex"
    )
    username_fragment: Annotated[str, StringConstraints(max_length=256)] | None = None


class Candidate(_Client):
    """A trickled candidate, null at the end."""

    type: Literal["candidate"]
    pc: PeerConnection
    candidate: IceCandidate | None


class Toggle(_Client):
    """Send or hold back one's audio, video or screen."""

    type: Literal["toggle"]
    audio: StrictBool | None = None
    video: StrictBool | None = None
    screen: StrictBool | None = None


class Layer(_Client):
    """Get at most this layer of somebody's simulcast, 0 the lowest; null: nothing of it."""

    type: Literal["layer"]
    participant: Identifier
    source: Literal["camera", "screen"] = "camera"
    most: Annotated[int, Field(ge=0, le=HIGHEST, strict=True)] | None


class Restart(_Client):
    """Ask for an offer with new ICE credentials: the way to receive is lost."""

    type: Literal["restart"]


class IceError(Content):
    """RTCPeerConnectionIceErrorEvent (W3C WebRTC, section 4.8.2)."""

    url: Annotated[str, StringConstraints(max_length=300)] = ""
    error_code: Annotated[int, Field(ge=0, le=65_535)]
    error_text: Annotated[str, StringConstraints(max_length=256)] = ""


class CandidatePair(Content):
    """A pair as RTCIceCandidatePairStats shows it, with its candidates' types."""

    pc: PeerConnection
    state: Literal["frozen", "waiting", "in-progress", "failed", "succeeded"]
    local: CandidateType
    remote: CandidateType


class Report(_Client):
    """What the client met on its way to a connection."""

    type: Literal["report"]
    ice_errors: Annotated[tuple[IceError, ...], Field(max_length=64)] = ()
    candidate_pairs: Annotated[tuple[CandidatePair, ...], Field(max_length=256)] = ()


class StatsRequest(_Client):
    """Ask for the call's statistics."""

    type: Literal["stats"]


class Leave(_Client):
    """Leave the call."""

    type: Literal["leave"]


class End(_Client):
    """End the call for all; needs the permission `moderate`."""

    type: Literal["end"]


ClientMessage = Annotated[
    Join
    | Publish
    | Subscribe
    | Candidate
    | Toggle
    | Layer
    | Restart
    | Report
    | StatsRequest
    | Leave
    | End,
    Field(discriminator="type"),
]
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)

MessageId = int | str | None


class BadMessage(CallError):  # noqa: N818 - an error code of signalling
    """A message that cannot be read; `id` is its id as far as one could be read."""

    def __init__(self, message: str, message_id: MessageId) -> None:
        super().__init__(
            "bad_message", message, "Send JSON objects as docs/reference/contracts.md lists them."
        )
        self.id = message_id


def parse(text: str | bytes) -> ClientMessage:
    """Read one message. Raises BadMessage naming the field."""
    try:
        # Unlike the standard library's parser this one takes no lone surrogates, which no answer
        # could carry back, and has a bound on nesting.
        content = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise BadMessage("The message is not JSON.", None) from error
    if not isinstance(content, dict):
        raise BadMessage("The message is not a JSON object.", None)
    try:
        return _CLIENT.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # Of a tagged union's location the first part is the tag.
        field = ".".join(str(part) for part in first["loc"][1:]) or "type"
        text_of_kind = str(content.get("type", "without a type"))[:32]
        raise BadMessage(
            f"Message {text_of_kind!r}, {field}: {first['msg']}.", _readable_id(content)
        ) from error


def _readable_id(content: dict[str, Any]) -> MessageId:
    found = content.get("id")
    if isinstance(found, str):
        return found if len(found) <= 64 else None
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    return None


class ServerMessage(Content):
    """What the server sends. `id` is that of the message it answers."""

    id: int | str | None = None

    def to_json(self) -> str:
        """One text message; what has no value is left out, except where null has a meaning."""
        return self.model_dump_json(by_alias=True, exclude=self._absent())

    def _absent(self) -> set[str]:
        return {"id"} if self.id is None else set()


class Presence(Content):
    """What others know of a participant."""

    participant: str
    name: str
    identity: str
    audio: bool
    video: bool
    screen: bool


class Joined(ServerMessage):
    """Answer to `join`."""

    type: Literal["joined"] = "joined"
    call: str
    epoch: int
    """Grows when the call changes pods: media that flowed under an earlier one begins anew."""
    pod: str
    """Name of the pod that hosts the call: what a person who asks for help can tell."""
    room: str
    participant: str
    name: str
    resume: str
    ice_servers: tuple[dict[str, object], ...]
    ice_transport_policy: Literal["all", "relay"]
    participants: tuple[Presence, ...]
    quality: OwnQuality


class Published(ServerMessage):
    """Answer to `publish`."""

    type: Literal["published"] = "published"
    answer: str


class OfferedTrack(Content):
    """One m-line of an offer and whose media it carries."""

    mid: str
    participant: str
    kind: Kind
    source: Source


class Offer(ServerMessage):
    """What one is to receive."""

    type: Literal["offer"] = "offer"
    offer: str
    tracks: tuple[OfferedTrack, ...]


class IceServersUpdate(ServerMessage):
    """Fresh servers. With `restart` the media session begins anew on another relay."""

    type: Literal["iceServers"] = "iceServers"
    ice_servers: tuple[dict[str, object], ...]
    restart: bool = False


class ParticipantEvent(Presence, ServerMessage):
    """Somebody else came, left or toggled."""

    type: Literal["participant"] = "participant"
    event: Literal["joined", "left", "toggled"]


class ParticipantStatistics(Content):
    """One participant's streams, in W3C names."""

    participant: str
    published: tuple[dict[str, object], ...]
    subscribed: tuple[dict[str, object], ...]


class Stats(ServerMessage):
    """Answer to `stats`."""

    type: Literal["stats"] = "stats"
    participants: tuple[ParticipantStatistics, ...]


class Reconnect(ServerMessage):
    """Open signalling anew."""

    type: Literal["reconnect"] = "reconnect"
    after_ms: int
    resume: str | None = None

    def _absent(self) -> set[str]:
        return super()._absent() | ({"resume"} if self.resume is None else set())


EndReason = Literal["left", "ended", "replaced", "media_lost", "pod_terminated"]


class Ended(ServerMessage):
    """One is no longer in the call."""

    type: Literal["ended"] = "ended"
    reason: EndReason


class Error(ServerMessage):
    """A request was refused."""

    type: Literal["error"] = "error"
    code: ErrorCode
    message: str
    remedy: str
    retry_after_ms: int | None = None

    @classmethod
    def of(cls, error: CallError, message_id: MessageId = None) -> Self:
        """The refusal as clients see it."""
        return cls(
            id=message_id,
            code=error.code,
            message=error.message,
            remedy=error.remedy,
            retry_after_ms=error.retry_after_ms,
        )

    def _absent(self) -> set[str]:
        return super()._absent() | ({"retry_after_ms"} if self.retry_after_ms is None else set())

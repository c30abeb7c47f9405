"""What the calls of an engine know of a media plane.

A `MediaPlane` hosts calls; a `MediaCall` forwards what each of its sessions publishes to all the
others; a `MediaSession` is one participant with two peer connections: the client offers to
publish, the server offers to subscribe. Nothing here decodes or encodes.

Everything belongs to the thread and event loop that called `MediaPlane.start`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict, get_args

Kind = Literal["audio", "video"]
Source = Literal["microphone", "camera", "screen"]
"""What a track shows or lets hear. The second video m-line of a publisher is its screen."""

SOURCES: tuple[Source, ...] = get_args(Source)
SOURCES_OF: Mapping[str, tuple[Source, ...]] = {
    "audio": ("microphone",),
    "video": ("camera", "screen"),
}
"""What the m-lines of a publisher carry, by kind and in their order."""

KIND_OF: Mapping[Source, Kind] = {"microphone": "audio", "camera": "video", "screen": "video"}

PeerConnection = Literal["publish", "subscribe"]
Path = Literal["direct", "relayed"]

FailureCause = Literal["timeout", "ice", "dtls"]
"""Why media never flowed: no answer or no pair in time, ICE checks failed, DTLS failed."""

LossCause = Literal["consent", "dtls_closed", "internal"]
"""Why media ended: ICE consent expired (RFC 7675), the peer closed DTLS, or a defect of the
engine, which is logged."""


Dropped = Literal[
    "unknown_source",
    "unknown_ufrag",
    "malformed",
    "unauthenticated",
    "replayed",
    "address_in_use",
    "srtp",
    "backlog",
    "send_buffer",
]
"""Why a datagram was not taken or not sent: media or DTLS from an address that no check made
known; a check for nobody; STUN that is none; a check with a wrong password; a check seen before
from elsewhere; a check from an address that is another's; media that is forged, replayed or
damaged; STUN or DTLS that came faster than it was taken; the kernel's buffer was full."""

DROPPED: tuple[Dropped, ...] = get_args(Dropped)


class MediaError(Exception):
    """A request that the media plane refuses.

    `code` is an error code of signalling; `remedy` tells the client's author what to do.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


class BadSdpError(MediaError):
    """A description or a candidate that cannot be used."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__("bad_sdp", message, remedy)


class NotPermittedError(MediaError):
    """The participant may not publish, or may not subscribe."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__("not_permitted", message, remedy)


class IceCandidateInit(TypedDict, total=False):
    """RTCIceCandidateInit (W3C WebRTC, section 4.8.1.1). An empty `candidate` means the end."""

    candidate: str
    sdpMid: str | None
    sdpMLineIndex: int | None
    usernameFragment: str | None


@dataclass(frozen=True, slots=True)
class SubscribedTrack:
    """One m-line of a subscribe offer that carries media; `participant` publishes it."""

    mid: str
    participant: str
    source: Source

    @property
    def kind(self) -> Kind:
        """Audio or video."""
        return KIND_OF[self.source]


@dataclass(frozen=True, slots=True)
class TrackLayers:
    """Which layer of a simulcast a participant is sent of one track.

    Layers are numbered from the lowest quality, 0; `layer` is None while nothing is sent,
    `target` is the one that is sent from its next keyframe on.
    """

    mid: str
    participant: str
    source: Source
    layer: int | None
    target: int | None


class MediaEvents(Protocol):
    """What a session reports. Called from the event loop; must return at once.

    After `failed` or `lost` no other event comes: the owner closes the session.
    """

    def offer(self, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        """A subscribe offer must reach the client. One is outstanding at a time: the next comes
        after `MediaSession.answer`, and only if tracks have changed meanwhile."""

    def connected(self, pc: PeerConnection, path: Path, seconds: float) -> None:
        """Media can flow on `pc`, `seconds` after its first offer. Once for each `pc`."""

    def failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        """`pc` was never connected and will not be (`timeout`: 15 s after its first offer)."""

    def lost(self, cause: LossCause) -> None:
        """A connected peer connection ended without `MediaSession.close`."""

    def speaker(self, participant: str | None) -> None:
        """Who speaks most clearly in the call now, oneself included; None: nobody."""

    def layers(self, tracks: Sequence[TrackLayers]) -> None:
        """What is sent of tracks with several layers has changed; these are those that differ."""

    def untaken(self, track: SubscribedTrack, codec: str, takes: Sequence[str]) -> None:
        """`track` comes in a codec (mime type) that this participant cannot take; what it takes.
        Nothing of the track is sent as long as its publisher keeps to that."""


@dataclass(frozen=True, slots=True)
class InboundStats:
    """One encoding that a participant publishes (RTCInboundRtpStreamStats).

    Units are seconds, bytes and packets. `rid` is empty without simulcast.
    """

    kind: Kind
    source: Source
    mid: str
    rid: str
    ssrc: int
    mime_type: str
    packets_received: int
    bytes_received: int
    packets_lost: int
    jitter: float
    nack_count: int
    pli_count: int


@dataclass(frozen=True, slots=True)
class OutboundStats:
    """What a participant is sent (RTCOutboundRtpStreamStats) of what `participant` publishes.

    `rid` is that of the layer that is sent, empty without simulcast or while nothing is; `layer` is
    its number, 0 the lowest and without simulcast, None while nothing is sent. `freezes_avoided`
    counts how often a lower layer went on because the subscriber's bandwidth no longer carried the
    one that was sent; a video that had to be paused was none. `packets_lost`, `jitter` and
    `round_trip_time` are the client's own report (RTCRemoteInboundRtpStreamStats), None before the
    first.
    """

    kind: Kind
    source: Source
    mid: str
    participant: str
    rid: str
    ssrc: int
    mime_type: str
    packets_sent: int
    bytes_sent: int
    retransmitted_packets_sent: int
    nack_count: int
    pli_count: int
    packets_lost: int | None
    jitter: float | None
    round_trip_time: float | None
    layer: int | None
    freezes_avoided: int


@dataclass(frozen=True, slots=True)
class ParticipantStats:
    """One participant's streams in both directions, seen from the engine."""

    published: tuple[InboundStats, ...]
    subscribed: tuple[OutboundStats, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram as Prometheus has it.

    `buckets` are (upper bound, observations at or under it), the last bound is infinite.
    """

    buckets: tuple[tuple[float, int], ...]
    sum: float


@dataclass(frozen=True, slots=True)
class MediaCounters:
    """Totals since `MediaPlane.start`; they never fall, also when sessions end."""

    received_packets: int
    forwarded_packets: int
    lost_packets_in: int
    lost_packets_out: int
    jitter_seconds: Histogram
    dropped_datagrams: Mapping[Dropped, int] = field(default_factory=dict)


class Stress(TypedDict):
    """How full the plane is in each resource: a ratio, 1 is all it can bear."""

    packets: float
    cpu: float
    loop: float
    egress: float


class MediaSession(Protocol):
    """One participant's media. Methods raise `MediaError` for what the client did wrong."""

    async def publish(self, offer_sdp: str) -> str:
        """Answer the client's offer, its first one or a renegotiation.

        Raises `BadSdpError`, `NotPermittedError`.
        """

    async def play(self, offer_sdp: str) -> str:
        """Answer the client's offer to receive, its first one or an ICE restart.

        For sessions that were joined with `client_offers`. Each pair of an audio and a video m-line
        carries one publisher, in the order of joining. Raises `BadSdpError`, `NotPermittedError`.
        """

    async def answer(self, answer_sdp: str) -> None:
        """Take the client's answer to the outstanding subscribe offer. Raises `BadSdpError`."""

    async def add_candidate(self, pc: PeerConnection, candidate: IceCandidateInit | None) -> None:
        """Take a trickled candidate; None ends them. Raises `BadSdpError`."""

    def restart_ice(self) -> None:
        """Offer again with new ICE credentials: the client has lost its way to receive."""

    def grant(self, bits_per_second: int) -> None:
        """Take no more than this of what the participant publishes, from its next offer on.

        It counts headers and repair, and is told to the client (REMB).
        """

    def set_sending(self, sending: Mapping[Source, bool]) -> None:
        """Forward what the participant publishes, or hold it back (muted)."""

    def prefer_layer(self, participant: str, source: Source, most: int | None) -> None:
        """Send this participant at most this layer of somebody's track; None: nothing of it.

        It holds for as long as this session, also for a track that comes later.
        """

    def stats(self) -> ParticipantStats:
        """A snapshot; costs nothing on the path of packets."""

    async def close(self) -> None:
        """End both peer connections. May be repeated."""


class MediaCall(Protocol):
    """One call's sessions."""

    @property
    def active_at(self) -> float:
        """When something last came or changed, in seconds of the event loop's clock. What came in
        the last tenth of a second may not be known yet."""

    def join(
        self,
        participant_id: str,
        events: MediaEvents,
        *,
        can_publish: bool = True,
        can_subscribe: bool = True,
        client_offers: bool = False,
    ) -> MediaSession:
        """Add a participant. Raises ValueError if the id is taken in this call.

        `client_offers`: it receives by `MediaSession.play`, and nothing is offered to it.
        """

    async def close(self) -> None:
        """Close all sessions. May be repeated."""


class MediaPlane(Protocol):
    """All calls of this process."""

    @property
    def name(self) -> str:
        """The `mediaplane` label of the metric `info`."""

    @property
    def port(self) -> int:
        """The number of the UDP port of all participants; 0 before `start`."""

    async def start(self) -> None:
        """Bind the port and begin to measure stress. Raises OSError if it cannot be bound."""

    def open_call(self, call_id: str) -> MediaCall:
        """A new, empty call. Raises ValueError if the id is open."""

    def counters(self) -> MediaCounters:
        """Totals for metrics."""

    def stress(self) -> Stress:
        """Averages of the last seconds."""

    async def close(self) -> None:
        """Close all calls and the port."""

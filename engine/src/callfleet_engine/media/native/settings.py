"""What a negotiation tells the extension. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from callfleet_engine.media import rtp
from callfleet_engine.media.negotiation import FORWARDED_EXTENSIONS, OFFERED_EXTENSIONS, OPUS
from callfleet_engine.media.seams import NegotiatedMedia

_AUDIO_LEVEL = OFFERED_EXTENSIONS[rtp.AUDIO_LEVEL_URI]
_ABS_SEND_TIME = OFFERED_EXTENSIONS[rtp.ABS_SEND_TIME_URI]


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """One m-line that a client publishes: see `TrackSettings` of the crate."""

    track: int
    mid: str
    is_video: bool
    clock_rate: int
    rids: list[str]
    declared: int | None
    codecs: list[tuple[int, str]]
    redundant: tuple[int, int] | None
    audio_level: tuple[int, int] | None
    forwarded: list[tuple[int, int]]
    sending: bool
    abs_send_time: int = _ABS_SEND_TIME


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """All that a client publishes: see `PublisherSettings` of the crate."""

    reporter: int
    max_bitrate: int
    transport: int | None = None
    send_time: int | None = None
    mid: int | None = None
    repaired_rid: int | None = None
    mid_ids: list[int] = field(default_factory=list)
    rid_ids: list[int] = field(default_factory=list)
    associated: list[tuple[int, int]] = field(default_factory=list)
    repairs: list[tuple[int, int]] = field(default_factory=list)
    tracks: list[TrackSettings] = field(default_factory=list)


def track_settings(
    media: NegotiatedMedia,
    *,
    track: int,
    rids: tuple[str, ...],
    declared: int | None,
    sending: bool,
) -> TrackSettings:
    """Of one m-line; `rids` from the lowest quality to the highest."""
    codecs = [(c.payloadType, c.mimeType) for c in media.codecs if c.payloadType is not None]
    redundant = next((pt for pt, mime in codecs if mime.lower() == "audio/red"), None)
    ids = media.extensions
    level = ids.get(rtp.AUDIO_LEVEL_URI)
    return TrackSettings(
        track=track,
        mid=media.mid,
        is_video=media.kind == "video",
        clock_rate=90000 if media.kind == "video" else 48000,
        rids=list(rids),
        declared=declared,
        codecs=codecs,
        redundant=(redundant, OPUS) if redundant is not None else None,
        audio_level=(level, _AUDIO_LEVEL) if level is not None else None,
        forwarded=[(ids[u], OFFERED_EXTENSIONS[u]) for u in FORWARDED_EXTENSIONS if u in ids],
        sending=sending,
    )


def publisher_settings(
    lines: Iterable[NegotiatedMedia],
    tracks: list[TrackSettings],
    *,
    reporter: int,
    max_bitrate: int,
    repairs: Iterable[tuple[int, int]],
) -> PublisherSettings:
    """Of all m-lines on which the client sends."""
    received = list(lines)
    ids: dict[str, int] = {}
    associated: dict[int, int] = {}
    for media in received:
        ids |= media.extensions
        associated |= media.rtx
    return PublisherSettings(
        reporter=reporter,
        max_bitrate=max_bitrate,
        transport=ids.get(rtp.TRANSPORT_NUMBER_URI),
        send_time=ids.get(rtp.ABS_SEND_TIME_URI),
        mid=ids.get(rtp.MID_URI),
        repaired_rid=ids.get(rtp.REPAIRED_RID_URI),
        mid_ids=_identifiers(received, rtp.MID_URI),
        rid_ids=_identifiers(received, rtp.RID_URI),
        associated=list(associated.items()),
        repairs=list(repairs),
        tracks=tracks,
    )


def _identifiers(lines: Iterable[NegotiatedMedia], uri: str) -> list[int]:
    """The numbers that a header extension has on some m-lines."""
    return sorted({media.extensions[uri] for media in lines if uri in media.extensions})

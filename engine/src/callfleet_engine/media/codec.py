"""Which payload type a subscriber knows a publisher's codec by. No I/O."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from aiortc import RTCRtpCodecParameters
from aiortc.sdp import H264Profile, parse_h264_profile_level_id

_BASELINE = H264Profile.PROFILE_CONSTRAINED_BASELINE
_DECODED_BY: Mapping[H264Profile, tuple[H264Profile, ...]] = {
    _BASELINE: (
        H264Profile.PROFILE_BASELINE,
        H264Profile.PROFILE_MAIN,
        H264Profile.PROFILE_CONSTRAINED_HIGH,
        H264Profile.PROFILE_HIGH,
    ),
    H264Profile.PROFILE_MAIN: (H264Profile.PROFILE_HIGH,),
    H264Profile.PROFILE_CONSTRAINED_HIGH: (H264Profile.PROFILE_HIGH,),
}
"""What else decodes a profile (ITU-T H.264 annex A.2)."""


REMEMBERED = 128
"""Lists of codecs, and pairs of them: each browser has one for audio and one for video."""


class Same(Hashable):
    """Codecs that equal others if they are the very same objects."""

    __slots__ = ("items",)

    def __init__(self, items: Iterable[RTCRtpCodecParameters]) -> None:
        self.items = tuple(items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and [*map(id, self.items)] == [*map(id, other.items)]

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.items)))


@dataclass(frozen=True, slots=True)
class Format:
    """What must fit for a payload to be understood.

    `profile` is VP9's `profile-id`, AV1's `profile`, or H.264's without the level, which a
    decoder is told by the stream (RFC 9628 section 6, RFC 6184 section 8.2.2).
    """

    mime_type: str
    clock_rate: int
    profile: str | H264Profile = ""
    single: bool = False
    """H.264 in packetization mode 0: nothing but single units, which mode 1 takes too."""


def format_of(codec: RTCRtpCodecParameters) -> Format:
    """The format of a codec as an SDP describes it; absent parameters have their defaults."""
    name = codec.mimeType.lower()
    parameters = codec.parameters
    if name == "video/h264":
        text = str(parameters.get("profile-level-id", "42e01f")).lower()
        try:
            profile: str | H264Profile = parse_h264_profile_level_id(text)[0]
        except ValueError:  # a profile or level that aiortc does not know
            profile = text
        single = str(parameters.get("packetization-mode", "0")) == "0"
        return Format(name, codec.clockRate, profile, single)
    keys = {"video/vp9": "profile-id", "video/av1": "profile"}
    profile = str(parameters.get(keys[name], "0")) if name in keys else ""
    return Format(name, codec.clockRate, profile)


def understood_by(sent: Format) -> list[Format]:
    """Formats whose receiver understands what is sent, the closest first."""
    profiles = [sent.profile]
    if isinstance(sent.profile, H264Profile):
        profiles += _DECODED_BY.get(sent.profile, ())
    modes = [True, False] if sent.single else [False]
    return [
        Format(sent.mime_type, sent.clock_rate, profile, single)
        for profile in profiles
        for single in modes
    ]


def payload_types(
    published: Iterable[RTCRtpCodecParameters], subscribed: Iterable[RTCRtpCodecParameters]
) -> dict[int, int]:
    """The publisher's payload types to the subscriber's; codecs it lacks are absent."""
    known: dict[Format, int] = {}
    for codec in subscribed:
        if codec.payloadType is not None:
            known.setdefault(format_of(codec), codec.payloadType)
    mapping = {}
    for codec in published:
        found = [known[f] for f in understood_by(format_of(codec)) if f in known]
        if codec.payloadType is not None and found:
            mapping[codec.payloadType] = found[0]
    return mapping


def unwrapped_types(
    published: Iterable[RTCRtpCodecParameters], subscribed: Iterable[RTCRtpCodecParameters]
) -> dict[int, int]:
    """The publisher's types of RED to the subscriber's of Opus, where it takes no RED itself."""
    known = {c.mimeType.lower(): c.payloadType for c in subscribed}
    opus = known.get("audio/opus")
    if opus is None or "audio/red" in known:
        return {}
    return {
        c.payloadType: opus
        for c in published
        if c.mimeType.lower() == "audio/red" and c.payloadType is not None
    }


@lru_cache(REMEMBERED)
def led_to(published: Same, subscribed: Same) -> tuple[Mapping[int, int], Mapping[int, int]]:
    """`payload_types` and `unwrapped_types`, worked out once for the same codecs."""
    return (
        payload_types(published.items, subscribed.items),
        unwrapped_types(published.items, subscribed.items),
    )


def names(codecs: Iterable[RTCRtpCodecParameters]) -> tuple[str, ...]:
    """Mime types, each once, in their order."""
    return tuple(dict.fromkeys(codec.mimeType for codec in codecs))

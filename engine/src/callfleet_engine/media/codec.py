"""Which payload type a subscriber knows a publisher's codec by. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from aiortc import RTCRtpCodecParameters

Format = tuple[str, int, str, str]


def format_of(codec: RTCRtpCodecParameters) -> Format:
    """What must be equal for a payload to be understood.

    H.264 payloads differ by packetization mode and profile (RFC 6184 section 8.2.2).
    """
    parameters = codec.parameters
    return (
        codec.mimeType.lower(),
        codec.clockRate,
        str(parameters.get("packetization-mode", "")),
        str(parameters.get("profile-level-id", "")).lower(),
    )


def payload_types(
    published: Iterable[RTCRtpCodecParameters], subscribed: Iterable[RTCRtpCodecParameters]
) -> dict[int, int]:
    """The publisher's payload types to the subscriber's; codecs it lacks are absent."""
    known = {format_of(c): c.payloadType for c in subscribed if c.payloadType is not None}
    return {
        c.payloadType: known[format_of(c)]
        for c in published
        if c.payloadType is not None and format_of(c) in known
    }

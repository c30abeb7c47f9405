"""What the engine negotiates: codecs, their payload types and header extensions. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from aiortc.codecs import is_rtx
from aiortc.rtcrtpparameters import (
    ParametersDict,
    RTCRtcpFeedback,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
)

from callfleet_engine.media import rtp

OPUS = 96
_RED = 111
_FEEDBACK = (
    RTCRtcpFeedback(type="nack"),
    RTCRtcpFeedback(type="nack", parameter="pli"),
    RTCRtcpFeedback(type="goog-remb"),
    RTCRtcpFeedback(type="transport-cc"),
)


def _video(payload_type: int, name: str, parameters: ParametersDict) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(
        mimeType=f"video/{name}",
        clockRate=90000,
        payloadType=payload_type,
        rtcpFeedback=list(_FEEDBACK),
        parameters=parameters,
    )


def _h264(payload_type: int, profile: str) -> RTCRtpCodecParameters:
    return _video(
        payload_type,
        "H264",
        {
            "level-asymmetry-allowed": "1",
            "packetization-mode": "1",
            "profile-level-id": profile,
        },
    )


def _with_rtx(codec: RTCRtpCodecParameters, payload_type: int) -> list[RTCRtpCodecParameters]:
    """A codec and its retransmissions (RFC 4588 section 8.1), of the number behind it."""
    return [
        codec,
        RTCRtpCodecParameters(
            mimeType="video/rtx",
            clockRate=codec.clockRate,
            payloadType=payload_type + 1,
            parameters={"apt": payload_type},
        ),
    ]


OFFERED_CODECS: dict[str, list[RTCRtpCodecParameters]] = {
    "audio": [
        RTCRtpCodecParameters(
            mimeType="audio/opus",
            clockRate=48000,
            channels=2,
            payloadType=OPUS,
            rtcpFeedback=[RTCRtcpFeedback(type="transport-cc")],
        ),
        RTCRtpCodecParameters(
            mimeType="audio/red",
            clockRate=48000,
            channels=2,
            payloadType=_RED,
            parameters={f"{OPUS}/{OPUS}": None},
        ),
    ],
    "video": [
        *_with_rtx(_video(97, "VP8", {}), 97),
        *_with_rtx(_h264(99, "42001f"), 99),
        *_with_rtx(_h264(101, "42e01f"), 101),
        *_with_rtx(_video(103, "VP9", {"profile-id": "0"}), 103),
        *_with_rtx(_video(105, "AV1", {"level-idx": "5", "profile": "0", "tier": "0"}), 105),
        *_with_rtx(_h264(107, "4d001f"), 107),
        *_with_rtx(_h264(109, "64001f"), 109),
    ],
}
"""What subscribers are offered, the same in each offer."""

FORWARDED_EXTENSIONS = (
    "urn:3gpp:video-orientation",
    "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
)
"""Passed on as they are; subscribers know them by other numbers."""

OFFERED_EXTENSIONS: dict[str, int] = {
    rtp.MID_URI: 1,
    rtp.AUDIO_LEVEL_URI: 2,
    rtp.ABS_SEND_TIME_URI: 3,
    rtp.TRANSPORT_NUMBER_URI: 4,
    FORWARDED_EXTENSIONS[0]: 5,
    FORWARDED_EXTENSIONS[1]: 6,
}
"""By which numbers subscribers are told extensions."""

_AUDIO_EXTENSIONS = (rtp.MID_URI, rtp.AUDIO_LEVEL_URI, rtp.TRANSPORT_NUMBER_URI)
_VIDEO_EXTENSIONS = (
    rtp.MID_URI,
    rtp.ABS_SEND_TIME_URI,
    rtp.TRANSPORT_NUMBER_URI,
    *FORWARDED_EXTENSIONS,
)


def _extensions(uris: Iterable[str]) -> list[RTCRtpHeaderExtensionParameters]:
    return [
        RTCRtpHeaderExtensionParameters(id=OFFERED_EXTENSIONS.get(uri, 0), uri=uri) for uri in uris
    ]


OFFERED_HEADER_EXTENSIONS = {
    "audio": _extensions(_AUDIO_EXTENSIONS),
    "video": _extensions(_VIDEO_EXTENSIONS),
}
TAKEN_HEADER_EXTENSIONS = {
    "audio": _extensions(_AUDIO_EXTENSIONS),
    "video": _extensions((*_VIDEO_EXTENSIONS, rtp.RID_URI, rtp.REPAIRED_RID_URI)),
}
"""What the other side's description may name, with its own numbers."""

_NAMES = {kind: {c.mimeType.lower() for c in offered} for kind, offered in OFFERED_CODECS.items()}


def common_codecs(
    kind: str, remote: Sequence[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """Those of a description's codecs that are forwarded, in its order and with its parameters.

    Nothing is encoded or decoded, so that any profile will do.
    """
    common: list[RTCRtpCodecParameters] = []
    for codec in remote:
        if codec.mimeType.lower() not in _NAMES[kind] or codec.clockRate not in {48000, 90000}:
            continue
        if is_rtx(codec) and codec.parameters.get("apt") not in {c.payloadType for c in common}:
            continue
        feedback = [f for f in codec.rtcpFeedback if f in _FEEDBACK]
        common.append(dataclasses.replace(codec, rtcpFeedback=feedback))
    names = {codec.mimeType.lower() for codec in common}
    return [] if names == {"audio/red"} else common


def codec_names(kind: str) -> list[str]:
    """What can be forwarded, for people to read."""
    return sorted({codec.name for codec in OFFERED_CODECS[kind] if not is_rtx(codec)})

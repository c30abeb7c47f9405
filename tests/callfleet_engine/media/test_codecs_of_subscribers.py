"""What a subscriber gets of codecs and header extensions it knows by other numbers, or not."""

from __future__ import annotations

import pytest
from aiortc import RTCRtpCodecParameters

from callfleet_engine.media import rtp
from callfleet_engine.media.codec import names, payload_types, unwrapped_types
from callfleet_engine.media.downtrack import DownTrack
from callfleet_engine.media.interface import Source
from callfleet_engine.media.negotiation import (
    FORWARDED_EXTENSIONS,
    OFFERED_CODECS,
    OFFERED_EXTENSIONS,
    OPUS,
    common_codecs,
)
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.totals import Totals

RED, CHROMIUMS_OPUS = 63, 111


def codec(
    name: str, payload_type: int, rate: int = 90000, **parameters: str | int
) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(
        mimeType=name,
        clockRate=rate,
        payloadType=payload_type,
        parameters={key.replace("_", "-"): value for key, value in parameters.items()},
    )


def h264(payload_type: int, profile: str, mode: str = "1") -> RTCRtpCodecParameters:
    return codec("video/H264", payload_type, packetization_mode=mode, profile_level_id=profile)


@pytest.mark.parametrize(
    ("published", "subscriber"),
    [
        (codec("video/VP8", 96), 97),
        (codec("video/vp8", 96), 97),
        (h264(96, "42e01f"), 101),
        (h264(96, "42e034"), 101),
        (h264(96, "42e01f", mode="0"), 101),
        (h264(96, "42001f"), 99),
        (h264(96, "4d0032"), 107),
        (h264(96, "640c1f"), 109),
        (h264(96, "640032"), 109),
        (codec("video/H264", 96), 101),
        (h264(96, "f4001f"), None),
        (h264(96, "nonsense"), None),
        (codec("video/VP9", 96), 103),
        (codec("video/VP9", 96, profile_id="2"), None),
        (codec("video/AV1", 96, profile="0", level_idx="8"), 105),
        (codec("video/AV1", 96, profile="1"), None),
    ],
)
def test_a_codec_leads_to_the_one_that_understands_it(
    published: RTCRtpCodecParameters, subscriber: int | None
) -> None:
    mapping = payload_types([published], OFFERED_CODECS["video"])
    assert mapping == ({} if subscriber is None else {96: subscriber})


def test_a_baseline_stream_is_understood_by_a_main_decoder() -> None:
    assert payload_types([h264(96, "42e01f")], [h264(120, "4d001f")]) == {96: 120}
    assert payload_types([h264(96, "4d001f")], [h264(120, "42e01f")]) == {}
    assert payload_types([h264(96, "42e01f")], [h264(120, "42e01f", mode="0")]) == {}


def test_an_answer_keeps_the_publishers_order_and_numbers() -> None:
    offered = [
        codec("video/H263", 34),
        codec("video/AV1", 45),
        codec("video/rtx", 46, apt=45),
        codec("video/VP8", 96),
    ]
    assert [c.payloadType for c in common_codecs("video", offered) if c.name != "rtx"] == [45, 96]


def test_a_codec_is_named_once() -> None:
    assert names([h264(96, "42e01f"), codec("video/VP8", 97), h264(98, "4d001f")]) == (
        "video/H264",
        "video/VP8",
    )


def test_redundant_audio_alone_is_no_codec() -> None:
    assert common_codecs("audio", [codec("audio/red", RED, 48000)]) == []


class Setup:
    def __init__(self, source: Source, *codecs: RTCRtpCodecParameters, **extensions: int) -> None:
        totals = Totals()
        self.wire: list[bytes] = []
        self.track = PublishedTrack(
            participant="alice",
            source=source,
            reporter_ssrc=9,
            send_rtcp=lambda _: True,
            totals=totals,
            max_bitrate=1_000_000,
        )
        uris = {
            "level": rtp.AUDIO_LEVEL_URI,
            "orientation": FORWARDED_EXTENSIONS[0],
            "content": FORWARDED_EXTENSIONS[1],
        }
        self.track.negotiated(
            NegotiatedMedia(
                mid="0",
                kind=self.track.kind,
                sends=False,
                receives=True,
                codecs=codecs,
                extensions={uris[name]: number for name, number in extensions.items()},
            )
        )
        self.layer = self.track.use_ssrc(11)
        self.down = DownTrack(77, self._send, self._send, lambda _: True, totals)
        self.sequence = 0

    def _send(self, head: bytes, tail: bytes, _: float = 0.0) -> bool:
        self.wire.append(rtp.without_number(head, tail))
        return True

    def attach(self, *subscribed: RTCRtpCodecParameters) -> None:
        published = self.track.media.codecs if self.track.media is not None else ()
        self.down.attach(
            self.track,
            payload_types(published, subscribed),
            unwrapped_types(published, subscribed),
        )

    def send(self, payload_type: int, payload: bytes, extensions: bytes = b"") -> None:
        self.sequence += 1
        first = 0x90 if extensions else 0x80
        header = rtp.HEADER.pack(first, payload_type, self.sequence, 0, 11)
        block = b"\xbe\xde" + (len(extensions) // 4).to_bytes(2, "big") if extensions else b""
        self.track.receive(self.layer, header + block + extensions + payload, float(self.sequence))

    def last(self) -> tuple[int, bytes]:
        """Payload type and payload."""
        data = self.wire[-1]
        return data[1] & 0x7F, data[rtp.payload_offset(data) :]


PUBLISHED_AUDIO = (
    codec("audio/opus", CHROMIUMS_OPUS, 48000),
    codec("audio/red", RED, 48000),
)
WRAPPED = bytes([0x80 | CHROMIUMS_OPUS, 0x0F, 0x00, 0x03, CHROMIUMS_OPUS]) + b"oldnew"


def test_redundant_audio_is_passed_on_with_the_subscribers_numbers() -> None:
    s = Setup("microphone", *PUBLISHED_AUDIO)
    s.attach(*OFFERED_CODECS["audio"])
    s.send(RED, WRAPPED)
    red = OFFERED_CODECS["audio"][1].payloadType
    assert s.last() == (red, bytes([0x80 | OPUS, 0x0F, 0x00, 0x03, OPUS]) + b"oldnew")


def test_who_takes_no_redundancy_gets_the_newest_block() -> None:
    s = Setup("microphone", *PUBLISHED_AUDIO)
    s.attach(OFFERED_CODECS["audio"][0])
    s.send(RED, WRAPPED)
    s.send(CHROMIUMS_OPUS, b"plain")
    assert [s.wire[0][-3:], s.last()] == [b"new", (OPUS, b"plain")]
    assert s.down.untaken is None


def test_what_a_subscriber_cannot_take_is_noted_and_not_sent() -> None:
    s = Setup("camera", codec("video/VP8", 96), codec("video/AV1", 45))
    s.attach(codec("video/VP8", 97))
    s.send(45, b"\x08\x0arest")
    assert (s.wire, s.down.untaken) == ([], 45)
    assert s.track.mime_type_of(45) == "video/AV1"
    s.send(96, b"\x10\x00rest")
    assert s.last() == (97, b"\x10\x00rest")


def test_levels_are_passed_on_and_the_loudest_is_kept() -> None:
    s = Setup("microphone", *PUBLISHED_AUDIO, level=3)
    s.attach(*OFFERED_CODECS["audio"])
    for level in (0x80 | 40, 20, 0x80 | 90):
        s.send(CHROMIUMS_OPUS, b"sound", bytes([3 << 4, level, 0, 0]))
    number = OFFERED_EXTENSIONS[rtp.AUDIO_LEVEL_URI]
    assert [rtp.extension(data, number) for data in s.wire] == [b"\xa8", b"\x14", b"\xda"]
    assert s.track.take_loudest() == 20
    assert s.track.take_loudest() == rtp.SILENCE
    s.track.set_sending(False)
    s.send(CHROMIUMS_OPUS, b"sound", bytes([3 << 4, 1, 0, 0]))
    assert s.track.take_loudest() == rtp.SILENCE


def test_extensions_are_mapped_by_their_uris() -> None:
    s = Setup("camera", codec("video/VP8", 96), orientation=13, content=6)
    s.attach(codec("video/VP8", 97))
    s.send(96, b"\x10\x00rest", bytes([6 << 4, 1, 2 << 4, 9, 13 << 4, 3, 0, 0]))
    found = dict(rtp.elements(s.wire[-1]))
    ids = OFFERED_EXTENSIONS
    assert found.pop(ids[rtp.ABS_SEND_TIME_URI])
    assert found == {ids[FORWARDED_EXTENSIONS[0]]: b"\x03", ids[FORWARDED_EXTENSIONS[1]]: b"\x01"}
    assert s.last() == (97, b"\x10\x00rest")
    s.send(96, b"\x10\x01rest")
    assert list(dict(rtp.elements(s.wire[-1]))) == [ids[rtp.ABS_SEND_TIME_URI]]

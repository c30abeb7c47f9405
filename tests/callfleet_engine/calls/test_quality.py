"""The bit rate of sound in answers to publishers."""

from __future__ import annotations

import pytest

from callfleet_engine.calls.quality import with_audio_bound

HEAD = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n"
TAIL = "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", "a=fmtp:111 maxaveragebitrate=32000\r\n"),
        (
            "a=fmtp:111 minptime=10;useinbandfec=1\r\n",
            "a=fmtp:111 minptime=10;useinbandfec=1;maxaveragebitrate=32000\r\n",
        ),
        (
            "a=fmtp:111 MaxAverageBitrate=510000; stereo=1\r\n",
            "a=fmtp:111 stereo=1;maxaveragebitrate=32000\r\n",
        ),
    ],
)
def test_opus_is_bounded_and_the_rest_stays(given: str, made: str) -> None:
    assert with_audio_bound(HEAD + given + TAIL, 32_000) == HEAD + made + TAIL


def test_each_m_line_of_its_own_number() -> None:
    other = HEAD.replace("111", "96").replace("v=0\r\n", "")
    made = with_audio_bound(HEAD + "a=fmtp:111 stereo=1\r\n" + other, 6_000)
    assert "a=fmtp:111 stereo=1;maxaveragebitrate=6000\r\n" in made
    assert made.endswith("a=rtpmap:96 opus/48000/2\r\na=fmtp:96 maxaveragebitrate=6000\r\n")


def test_without_opus_nothing_changes() -> None:
    assert with_audio_bound("v=0\r\n" + TAIL, 32_000) == "v=0\r\n" + TAIL

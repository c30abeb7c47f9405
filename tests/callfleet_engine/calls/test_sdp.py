"""What signalling reads in an offer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.calls.sdp import sources_sent

SESSION = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("media", "sources"),
    [
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n", {"microphone"}),
        ("m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=sendrecv\r\n", {"camera"}),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n", {"microphone"}),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n", set()),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n", set()),
        ("m=audio 0 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n", set()),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", set()),
        ("m=audio 9 X 96\na=sendonly\nm=video 9 X 97\na=sendonly\n", {"microphone", "camera"}),
        ("m=video 9 X 97\na=inactive\nm=video 9 X 97\na=sendonly\n", {"screen"}),
        ("m=video 9 X 97\n" * 3, {"camera", "screen"}),
    ],
)
def test_sources_sent(media: str, sources: set[str]) -> None:
    assert sources_sent(SESSION + media) == sources


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert sources_sent(text) <= {"microphone", "camera", "screen"}

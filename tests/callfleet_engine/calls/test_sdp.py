"""What signalling reads in an offer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.calls.sdp import kinds_sent

SESSION = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("media", "kinds"),
    [
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n", {"audio"}),
        ("m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=sendrecv\r\n", {"video"}),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n", {"audio"}),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n", set()),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n", set()),
        ("m=audio 0 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n", set()),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", set()),
        ("m=audio 9 X 96\na=sendonly\nm=video 9 X 97\na=sendonly\n", {"audio", "video"}),
    ],
)
def test_kinds_sent(media: str, kinds: set[str]) -> None:
    assert kinds_sent(SESSION + media) == kinds


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert kinds_sent(text) <= {"audio", "video"}

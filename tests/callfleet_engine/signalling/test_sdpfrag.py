from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.signalling.sdpfrag import (
    MAX_FRAGMENT_CANDIDATES,
    BadFragment,
    Fragment,
    fragment_of,
    parse_fragment,
    restarted,
    ufrag_of,
)

PASSWORD = "P2uYro0UCOQ4zxjKXaWCBui1"
CANDIDATE = "candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw"


def test_the_example_of_rfc_8840_is_read() -> None:
    fragment = parse_fragment(
        f"a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:{PASSWORD}\r\n"
        f"a={CANDIDATE}\r\na=end-of-candidates\r\n"
    )
    assert fragment == Fragment(
        ufrag="EsAw",
        password=PASSWORD,
        candidates=({"candidate": CANDIDATE, "sdpMid": "0"},),
        ended=True,
    )


def test_credentials_may_stand_before_the_m_lines_or_be_absent() -> None:
    fragment = parse_fragment(f"a=ice-ufrag:EsAw\na=ice-pwd:{PASSWORD}\n")
    assert fragment == Fragment("EsAw", PASSWORD, (), ended=False)
    assert parse_fragment("") == Fragment(None, None, (), ended=False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello", "no line of SDP"),
        ("a=ice-ufrag:EsAw\r\n", "without the other"),
        (f"a=ice-pwd:{PASSWORD}\r\n", "without the other"),
        (f"a=ice-ufrag:abc\r\na=ice-pwd:{PASSWORD}\r\n", "ice-ufrag has characters"),
        (f"a=ice-ufrag:EsÄw\r\na=ice-pwd:{PASSWORD}\r\n", "ice-ufrag has characters"),
        ("a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n", "ice-pwd has characters"),
        (f"a=ice-ufrag:EsAw\r\na=ice-ufrag:Other\r\na=ice-pwd:{PASSWORD}\r\n", "several values"),
        (f"a={CANDIDATE}\r\n" * (MAX_FRAGMENT_CANDIDATES + 1), "more than 64 candidates"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(BadFragment, match=why):
        parse_fragment(text)


lines = st.sampled_from(
    ["a=", "m=", "a=mid:0", "a=ice-ufrag:EsAw", f"a=ice-pwd:{PASSWORD}", f"a={CANDIDATE}", "a=x:"]
)


@given(st.one_of(st.text(), st.lists(st.one_of(lines, st.text(max_size=20))).map("\r\n".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadFragment):
        fragment = parse_fragment(text)
        assert (fragment.ufrag is None) == (fragment.password is None)


OFFER = (
    "v=0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:old0\r\na=ice-pwd:oldpassword\r\n"
    f"a={CANDIDATE}\r\na=end-of-candidates\r\na=sendonly\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:old0\r\na=ice-pwd:oldpassword\r\n"
)


def test_a_restart_changes_credentials_alone() -> None:
    offer = restarted(OFFER, Fragment("EsAw", PASSWORD, (), ended=False))
    assert offer == (
        "v=0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n"
        f"a=ice-pwd:{PASSWORD}\r\na=sendonly\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:EsAw\r\n"
        f"a=ice-pwd:{PASSWORD}\r\n"
    )
    assert (ufrag_of(OFFER), ufrag_of(offer), ufrag_of("")) == ("old0", "EsAw", "")


def test_the_answer_to_a_restart_is_the_first_m_lines_ice() -> None:
    assert fragment_of(OFFER) == (
        "a=group:BUNDLE 0 1\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        f"a=ice-ufrag:old0\r\na=ice-pwd:oldpassword\r\na={CANDIDATE}\r\na=end-of-candidates\r\n"
    )

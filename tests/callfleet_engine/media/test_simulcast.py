"""Layers in offers and answers."""

from __future__ import annotations

import contextlib

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.interface import BadSdpError
from callfleet_engine.media.simulcast import mid_of, offered_rids, sections, with_simulcast

VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1"]


def offer(simulcast: str, *rids: str) -> list[str]:
    return [*VIDEO, *(f"a=rid:{rid} send" for rid in rids), f"a=simulcast:{simulcast}"]


@pytest.mark.parametrize(
    ("lines", "rids"),
    [
        (VIDEO, ()),
        (offer("send q;h;f", "q", "h", "f"), ("q", "h", "f")),
        (offer("send 1;~2", "1", "2"), ("1", "2")),
        (offer("send 1,2;3", "1", "2", "3"), ("1", "3")),
        (offer("recv a send b", "b"), ("b",)),
        (offer("recv a"), ()),
        (offer(""), ()),
    ],
)
def test_layers_of_an_offer(lines: list[str], rids: tuple[str, ...]) -> None:
    assert offered_rids(lines) == rids


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (offer("send 1;2;3;4", "1", "2", "3", "4"), "simulcast of 4 layers"),
        (offer("send q;h", "q"), "undeclared"),
        (offer("send q;q", "q"), "repeated"),
        (offer("send " + "q" * 17, "q" * 17), "1 to 16"),
        (offer("send q!", "q!"), "letters"),
    ],
)
def test_layers_that_cannot_be_told_apart_are_refused(lines: list[str], message: str) -> None:
    with pytest.raises(BadSdpError, match=message) as refused:
        offered_rids(lines)
    assert refused.value.remedy


@given(st.lists(st.text("a=ridsmulct:~;,123 send", max_size=30), max_size=6))
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    with contextlib.suppress(BadSdpError):
        offered_rids([*VIDEO, *lines, "a=simulcast:" + "".join(lines)])


def test_the_answer_takes_the_layers_of_their_section() -> None:
    answer = (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:1\r\na=recvonly\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:2\r\n"
    )
    changed = with_simulcast(answer, {"1": ("q", "h", "f"), "7": ("x",)})
    audio, camera, screen = sections(changed)
    assert [mid_of(s) for s in (audio, camera, screen)] == ["0", "1", "2"]
    assert camera[-4:] == ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"]
    assert audio + screen == sections(answer)[0] + sections(answer)[2]
    assert len(SessionDescription.parse(changed).media) == 3
    assert with_simulcast(answer, {}) == answer

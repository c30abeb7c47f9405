"""Malformed descriptions are refused before anything changes, with a remedy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callfleet_engine.media.description import (
    MAX_CANDIDATES,
    MAX_SDP_BYTES,
    check_answer,
    check_candidate,
    check_offer,
    check_play_offer,
)
from callfleet_engine.media.interface import BadSdpError
from tests.callfleet_engine.media.offers import chromium_offer
from tests.callfleet_engine.media.peers import new_pc
from tests.hypothesis_profiles import examples

CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host"


@pytest.fixture(scope="module")
def offer() -> str:
    """What Chromium 156 sends for one audio and one video track, shortened."""
    return chromium_offer()


def test_a_browsers_offer_is_read(offer: str) -> None:
    remote = check_offer(offer)
    assert remote.ufrag == "abcd"
    assert remote.mids == ("0", "1")
    assert remote.ssrcs == {"0": (111111,), "1": (222222, 333333)}
    assert remote.candidates == ((("192.0.2.7", 50001), "relay"),)
    assert check_offer(offer, previous=remote) == remote


Change = Callable[[str], str]


def another_video(sdp: str, mid: str) -> str:
    return "m=video" + sdp.split("m=video")[1].replace("a=mid:1", f"a=mid:{mid}")


def test_a_second_video_is_the_screen(offer: str) -> None:
    whole = offer.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + another_video(offer, "2")
    remote = check_offer(whole + "a=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n")
    assert remote.sources == {"0": "microphone", "1": "camera", "2": "screen"}
    assert remote.sending == {"microphone", "camera", "screen"}
    assert remote.rids == {"2": ("q", "f")}
    unused = "a=inactive".join(whole.rsplit("a=sendonly", 1))
    assert check_offer(unused).sending == {"microphone", "camera"}


def drop(line: str) -> Change:
    return lambda sdp: sdp.replace(line + "\r\n", "")


def swap(old: str, new: str) -> Change:
    return lambda sdp: sdp.replace(old, new)


def test_who_is_to_be_dtls_server_is_read(offer: str) -> None:
    assert not check_offer(offer).dtls_server
    assert not check_offer(swap("actpass", "active")(offer)).dtls_server
    assert check_offer(swap("actpass", "passive")(offer)).dtls_server


def test_an_offer_to_receive_may_have_many_m_lines(offer: str) -> None:
    for direction in ("recvonly", "sendrecv"):
        assert check_play_offer(swap("sendonly", direction)(offer)).mids == ("0", "1")
    for direction in ("sendonly", "inactive"):
        with pytest.raises(BadSdpError, match="does not receive"):
            check_play_offer(swap("sendonly", direction)(offer))
    session, *sections = swap("sendonly", "recvonly")(offer).split("m=")
    for pairs, accepted in ((24, True), (25, False)):
        lines = [
            re.sub(r"a=mid:\d", f"a=mid:{2 * pair + place}", section)
            for pair in range(pairs)
            for place, section in enumerate(sections)
        ]
        bundle = " ".join(str(mid) for mid in range(2 * pairs))
        many = session.replace("BUNDLE 0 1", f"BUNDLE {bundle}") + "".join(f"m={s}" for s in lines)
        if accepted:
            assert len(check_play_offer(many).mids) == 2 * pairs
        else:
            with pytest.raises(BadSdpError, match="48 m-lines"):
                check_play_offer(many)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: "", "no m-line"),
        (lambda _: "hello", "no m-line"),
        (lambda sdp: sdp + " " * MAX_SDP_BYTES, "longer than"),
        (lambda sdp: sdp + "\n" * 5000, "longer than"),
        (swap("m=video 9", "m=video nine"), "not valid SDP"),
        (swap("a=rtpmap:96 VP8/90000", "a=rtpmap:96"), "not valid SDP"),
        (
            swap("m=video 9 UDP/TLS/RTP/SAVPF 96 97 45", "m=application 9 UDP/DTLS/SCTP x"),
            "'application'",
        ),
        (swap("m=video", "m=audio"), "more than one audio"),
        (
            lambda sdp: sdp + "".join(another_video(sdp, mid) for mid in "23"),
            "more than two video",
        ),
        (swap("a=mid:1", "a=mid:0"), "same a=mid"),
        (drop("a=mid:1"), "no a=mid"),
        (swap("a=mid:1", "a=mid"), "no a=mid"),
        (swap("a=mid:1", "a=mid:" + "1" * 33), "no a=mid"),
        (drop("a=group:BUNDLE 0 1"), "does not bundle"),
        (drop("a=ice-ufrag:abcd"), "no ICE credentials"),
        (drop("a=rtcp-mux"), "no a=rtcp-mux"),
        (drop("a=setup:actpass"), "no DTLS parameters"),
        (drop(f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}"), "no DTLS fingerprint"),
        (swap("a=ssrc:111111", "a=ssrc:4294967296"), "32 bits"),
        (swap("opus/48000/2", "G722/8000"), "No audio codec"),
        (
            lambda sdp: sdp.replace("VP8/90000", "H263/90000").replace("AV1", "MPV"),
            "No video codec",
        ),
        (swap("opus/48000/2", "L16/48000/2"), "No audio codec"),
        (lambda sdp: sdp + "a=simulcast:send q;h\r\na=rid:q send\r\n", "undeclared"),
        (
            swap("a=setup:actpass", f"a=setup:actpass{f'{chr(13)}{chr(10)}a={CANDIDATE}' * 40}"),
            f"more than {MAX_CANDIDATES} candidates",
        ),
    ],
)
def test_what_is_wrong_with_an_offer_is_said(offer: str, change: Change, message: str) -> None:
    with pytest.raises(BadSdpError, match=message) as refused:
        check_offer(change(offer))
    assert refused.value.code == "bad_sdp"
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 00:"), "another peer connection"),
        (lambda sdp: sdp.split("m=video")[0].replace("BUNDLE 0 1", "BUNDLE 0"), "removes"),
        (swap("a=mid:1", "a=mid:7"), "renames"),
    ],
)
def test_a_renegotiation_keeps_its_connection_and_m_lines(
    offer: str, change: Change, message: str
) -> None:
    with pytest.raises(BadSdpError, match=message):
        check_offer(
            change(offer).replace("BUNDLE 0 1", "BUNDLE 0 1 7"), previous=check_offer(offer)
        )


async def test_an_answer_must_choose_its_dtls_role() -> None:
    pc = new_pc()
    pc.addTrack(AudioStreamTrack())
    pc.addTrack(VideoStreamTrack())
    offered = await pc.createOffer()
    await pc.close()
    with pytest.raises(BadSdpError, match="DTLS role"):
        check_answer(offered.sdp)
    assert check_answer(offered.sdp.replace("actpass", "active")).mids == ("0", "1")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(80))
@given(data=st.data())
def test_damaged_offers_are_read_or_refused(offer: str, data: st.DataObject) -> None:
    lines = offer.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["cut", "drop", "twice", "garbage", "swap"])):
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "drop":
                lines[at] = ""
            case "twice":
                lines.insert(at, lines[at])
            case "garbage":
                head = lines[at][: data.draw(st.integers(0, len(lines[at])))]
                lines[at] = head + data.draw(st.text(max_size=12))
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
    for check in (check_offer, check_play_offer, check_answer):
        with contextlib.suppress(BadSdpError):
            check("\r\n".join(lines))


def test_candidates_are_read() -> None:
    assert check_candidate({"candidate": CANDIDATE}) == (("192.0.2.7", 50000), "host")
    assert check_candidate({"candidate": "a=" + CANDIDATE}) == (("192.0.2.7", 50000), "host")
    assert check_candidate({"candidate": ""}) is None
    assert check_candidate({}) is None
    hidden = "candidate:1 1 udp 1 12ab.local 5 typ host"
    assert check_candidate({"candidate": hidden}) is None


@given(st.one_of(st.text(max_size=80), st.text(max_size=80).map(lambda t: CANDIDATE + t)))
def test_any_candidate_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadSdpError):
        check_candidate({"candidate": text})


@pytest.mark.parametrize(
    "text", ["candidate:1 1 udp", "candidate:1 x udp 1 h 5 typ host", "x" * 2000]
)
def test_an_unreadable_candidate_is_refused(text: str) -> None:
    with pytest.raises(BadSdpError, match="candidate") as refused:
        check_candidate({"candidate": text})
    assert "toJSON" in refused.value.remedy

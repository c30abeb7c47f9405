"""Descriptions are read as aiortc reads them, but their codecs once for all."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import SRTP_PROFILES
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from callfleet_engine.media import sdp_seams
from callfleet_engine.media.negotiation import common_codecs
from callfleet_engine.media.seams import Certificate, ForwardingPeerConnection
from tests.callfleet_engine.media.offers import chromium_offer
from tests.callfleet_engine.media.peers import new_pc
from tests.callfleet_engine.media.test_seams import Server

CHROMIUM = chromium_offer()


def facts(description: SessionDescription) -> list[object]:
    """All that there is to know of a description."""
    return [
        str(description),
        [
            (m.fmt, m.port, [asdict(codec) for codec in m.rtp.codecs], m.ssrc, m.ssrc_group)
            for m in description.media
        ],
    ]


def test_a_browsers_offer_is_read_as_aiortc_reads_it() -> None:
    assert facts(sdp_seams.parse(CHROMIUM)) == facts(SessionDescription.parse(CHROMIUM))


async def test_an_offer_of_aiortcs_is_read_as_aiortc_reads_it() -> None:
    client = new_pc()
    client.addTransceiver("audio", "recvonly")
    client.addTransceiver("video", "recvonly")
    text = (await client.createOffer()).sdp
    await client.close()
    assert facts(sdp_seams.parse(text)) == facts(SessionDescription.parse(text))


def outcome(text: str, *, shared: bool) -> object:
    try:
        read = sdp_seams.parse(text) if shared else SessionDescription.parse(text)
        return facts(read)
    except Exception as error:  # noqa: BLE001 (whatever aiortc raises)
        return type(error)


LINES = CHROMIUM.splitlines()


@given(
    st.sets(st.integers(0, len(LINES) - 1), max_size=4),
    st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 20)), max_size=4),
)
def test_what_aiortc_refuses_is_refused(gone: set[int], cut: list[tuple[int, int]]) -> None:
    lines = list(LINES)
    for index, length in cut:
        lines[index] = lines[index][:length]
    text = "\r\n".join(line for index, line in enumerate(lines) if index not in gone) + "\r\n"
    ours, aiortcs = outcome(text, shared=True), outcome(text, shared=False)
    # With two faults either may be told.
    assert isinstance(ours, type) == isinstance(aiortcs, type)
    if not isinstance(ours, type):
        assert ours == aiortcs


def test_the_same_lines_are_the_same_codecs() -> None:
    one = sdp_seams.parse(CHROMIUM)
    other = sdp_seams.parse(CHROMIUM.replace("m=video 9 ", "m=video 5000 "))
    for ours, theirs in zip(one.media, other.media, strict=True):
        assert ours.rtp.codecs is not theirs.rtp.codecs
        assert all(a is b for a, b in zip(ours.rtp.codecs, theirs.rtp.codecs, strict=True))
        common = sdp_seams.shared_codecs(ours.kind, ours.rtp.codecs)
        assert common == common_codecs(ours.kind, ours.rtp.codecs)
        again = sdp_seams.shared_codecs(ours.kind, theirs.rtp.codecs)
        assert common is not again
        assert all(a is b for a, b in zip(common, again, strict=True))


async def test_negotiating_changes_no_codec_that_others_share() -> None:
    before = facts(sdp_seams.parse(CHROMIUM))
    server = Server()
    await server.pc.answer_offer(sdp_seams.parse(CHROMIUM))
    negotiated = server.pc.negotiated()
    await server.close()
    assert {len(media.codecs) for media in negotiated.values()} == {2}
    assert facts(sdp_seams.parse(CHROMIUM)) == before


async def test_what_is_made_here_reads_as_what_is_sent() -> None:
    """aiortc would set as local description what it reads in its own text."""
    server = Server()
    server.pc.add_line("audio")
    server.pc.add_line("video")
    sent = await server.pc.make_offer()
    kept = server.pc._RTCPeerConnection__pendingLocalDescription  # type: ignore[attr-defined]
    assert facts(SessionDescription.parse(sent)) == facts(kept)
    await server.close()


async def test_no_certificate_is_made_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    await server.close()
    monkeypatch.setattr("aiortc.rtcpeerconnection.RTCCertificate", None)
    server = Server()
    assert isinstance(server.pc, ForwardingPeerConnection)
    await server.close()
    with pytest.raises(AttributeError):
        RTCPeerConnection()


def test_connections_of_a_certificate_share_a_context_that_keeps_no_sessions() -> None:
    certificate = Certificate.generateCertificate()
    context = certificate._create_ssl_context(SRTP_PROFILES)
    assert certificate._create_ssl_context(SRTP_PROFILES) is context
    assert Certificate.generateCertificate()._create_ssl_context(SRTP_PROFILES) is not context
    assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF

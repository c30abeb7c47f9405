"""The way of a publisher's packets to their track and layer."""

from __future__ import annotations

from typing import cast

from aiortc import RTCRtpCodecParameters
from aiortc.rtp import RtcpSdesPacket, RtcpSenderInfo, RtcpSrPacket
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtp
from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.interface import Source
from callfleet_engine.media.link import Link
from callfleet_engine.media.publishing import SILENT_SECONDS, Publishing
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.totals import Totals

OPUS, VP8 = 111, 96
MID, RID, LEVEL = 4, 10, 1
EXTENSIONS = {rtp.MID_URI: MID, rtp.RID_URI: RID, rtp.AUDIO_LEVEL_URI: LEVEL}
SOURCES: dict[str, Source] = {"0": "microphone", "1": "camera", "2": "screen"}
CODECS = {
    "audio": RTCRtpCodecParameters("audio/opus", 48000, 2, OPUS),
    "video": RTCRtpCodecParameters("video/VP8", 90000, None, VP8),
}


class Wire:
    """What a link does for a publisher."""

    def __init__(self) -> None:
        self.rtcp: list[bytes] = []

    def send_rtcp(self, data: bytes) -> bool:
        self.rtcp.append(data)
        return True


class Setup:
    def __init__(
        self, rids: tuple[str, ...] = ("q", "h", "f"), ssrcs: tuple[int, ...] = ()
    ) -> None:
        self.totals = Totals()
        self.publishing = Publishing("alice", self.totals, 1_000_000)
        self.wire = Wire()
        self.now = 100.0
        self.sequence = 0
        self.negotiate(rids, ssrcs)

    def negotiate(self, rids: tuple[str, ...], ssrcs: tuple[int, ...] = ()) -> None:
        lines = {
            mid: NegotiatedMedia(
                mid=mid,
                kind="audio" if mid == "0" else "video",
                sends=False,
                receives=True,
                codecs=(CODECS["audio" if mid == "0" else "video"],),
                extensions=EXTENSIONS,
            )
            for mid in SOURCES
        }
        remote = RemoteDescription(
            description=SessionDescription(),
            ufrag="u",
            fingerprints=frozenset(),
            mids=tuple(SOURCES),
            ssrcs={"1": ssrcs},
            candidates=(),
            sources=SOURCES,
            sending=frozenset(SOURCES.values()),
            rids={"1": rids} if rids else {},
            repairs={},
        )
        self.publishing.negotiated(lines, remote, cast("Link", self.wire))

    def send(self, ssrc: int, payload_type: int = VP8, **extensions: str) -> None:
        self.sequence += 1
        ids = {"mid": MID, "rid": RID}
        block = b"".join(
            bytes([ids[name] << 4 | len(value) - 1]) + value.encode()
            for name, value in extensions.items()
        )
        header = rtp.HEADER.pack(0x90, payload_type, self.sequence, 0, ssrc)
        words = (len(block) + 3) // 4
        extended = b"\xbe\xde" + words.to_bytes(2, "big") + block.ljust(4 * words, b"\0")
        payload = b"\x10\x00keyframe" if payload_type == VP8 else b"sound"
        self.publishing.rtp_received(header + extended + payload, self.now)

    def layers(self, source: Source) -> dict[str, tuple[int, int]]:
        """SSRC and packets of each layer that has come."""
        return {
            layer.rid: (layer.ssrc, layer.stream.packets_received)
            for layer in self.publishing.tracks[source].layers
        }


def test_layers_are_found_by_mid_and_rid_in_whatever_order_they_come() -> None:
    s = Setup()
    s.send(33, mid="1", rid="f")
    s.send(11, mid="1", rid="q")
    s.send(22, mid="1", rid="h")
    s.send(11)
    assert s.layers("camera") == {"q": (11, 2), "h": (22, 1), "f": (33, 1)}
    assert [layer.index for layer in s.publishing.tracks["camera"].layers] == [0, 1, 2]
    assert s.layers("screen") == {}


def test_a_second_video_is_told_by_its_mid() -> None:
    s = Setup()
    s.send(11, mid="1", rid="q")
    s.send(55, mid="2")
    s.send(77, OPUS, mid="0")
    assert s.layers("screen") == {"": (55, 1)}
    assert s.layers("microphone") == {"": (77, 1)}


def test_without_names_the_payload_type_tells_a_track_if_it_is_one_ones() -> None:
    s = Setup(rids=())
    s.send(77, OPUS)
    s.send(11)
    assert s.layers("microphone") == {"": (77, 1)}
    assert s.layers("camera") == s.layers("screen") == {}


def test_declared_ssrcs_need_no_names() -> None:
    s = Setup(rids=(), ssrcs=(11, 12))
    s.send(11)
    assert s.layers("camera") == {"": (11, 1)}


def test_an_unknown_or_missing_rid_of_a_simulcast_is_not_taken() -> None:
    s = Setup()
    s.send(11, mid="1", rid="x")
    s.send(11, mid="1")
    assert s.layers("camera") == {}


def test_a_live_layer_keeps_its_ssrc_and_a_silent_one_is_replaced() -> None:
    s = Setup()
    s.send(11, mid="1", rid="q")
    s.send(99, mid="1", rid="q")
    assert s.layers("camera") == {"q": (11, 1)}
    s.now += SILENT_SECONDS
    s.send(99, mid="1", rid="q")
    s.send(11)
    assert s.layers("camera") == {"q": (99, 1)}


def test_sender_reports_reach_the_layer_of_their_ssrc() -> None:
    s = Setup()
    s.send(11, mid="1", rid="q")
    s.send(22, mid="1", rid="h")
    info = RtcpSenderInfo(ntp_timestamp=5 << 32, rtp_timestamp=7, packet_count=0, octet_count=0)
    s.publishing.rtcp_received(bytes(RtcpSrPacket(22, info)) + bytes(RtcpSdesPacket([])), s.now)
    low, middle = s.publishing.tracks["camera"].layers
    assert (low.clock, middle.clock) == (None, (5 << 32, 7))


def test_other_layers_after_a_renegotiation() -> None:
    s = Setup()
    s.send(11, mid="1", rid="q")
    s.negotiate(("q", "h", "f"))
    assert s.layers("camera") == {"q": (11, 1)}
    s.negotiate(("a", "b"))
    assert s.layers("camera") == {}
    s.send(11, mid="1", rid="b")
    assert s.layers("camera") == {"b": (11, 1)}


def test_statistics_are_of_each_layer() -> None:
    s = Setup()
    s.send(11, mid="1", rid="q")
    s.send(33, mid="1", rid="f")
    s.send(77, OPUS, mid="0")
    stats = {(it.source, it.rid): it.ssrc for it in s.publishing.stats()}
    assert stats == {("microphone", ""): 77, ("camera", "q"): 11, ("camera", "f"): 33}


def test_what_is_received_is_told_of_each_layer() -> None:
    s = Setup()
    for ssrc, rid in ((11, "q"), (22, "h"), (33, "f")):
        s.send(ssrc, mid="1", rid=rid)
    s.publishing.report(s.now)
    assert len(s.wire.rtcp) == 1
    assert all(ssrc.to_bytes(4, "big") in s.wire.rtcp[0] for ssrc in (11, 22, 33))


@given(st.binary(min_size=12, max_size=64))
def test_any_packet_is_taken_or_counted(data: bytes) -> None:
    s = Setup()
    s.publishing.rtp_received(data, s.now)
    s.send(11, mid="1", rid="q")
    assert s.layers("camera")["q"][0] == 11


@given(st.binary(max_size=64))
def test_any_control_packet_is_taken_or_counted(data: bytes) -> None:
    s = Setup()
    s.publishing.rtcp_received(data, s.now)
    assert s.publishing.malformed <= 1

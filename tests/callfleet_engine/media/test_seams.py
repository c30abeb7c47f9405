"""One test for each behaviour of aiortc 1.16 and aioice 0.13 that `seams` leans on or replaces."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import threading
import warnings
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any, cast

import aioice.ice
import aiortc.rtcdtlstransport
import aiortc.rtcicetransport
import aiortc.rtcpeerconnection
import pylibsrtp
import pytest
from aioice.ice import Connection
from aiortc import RTCCertificate, RTCPeerConnection, RTCSessionDescription, codecs
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtp import RtcpRrPacket
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import load_der_x509_certificate

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.ice_lite import LiteConnection
from callfleet_engine.media.port import MediaPort
from callfleet_engine.media.rtp import HEADER
from callfleet_engine.media.rtp_seams import Receiver, Sender
from callfleet_engine.media.seams import Certificate, ForwardingPeerConnection
from tests.callfleet_engine.media.peers import new_pc, until

get_host_addresses = aioice.ice.get_host_addresses
CERTIFICATE = Certificate.generateCertificate()


class Server:
    """One of ours, and what it was given."""

    def __init__(self) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.states = 0
        self.port = MediaPort(lambda: (Advertised("127.0.0.1", "test"),))
        self.port.bind(("127.0.0.1",), 0)
        self.connection = LiteConnection(self.port)
        self.pc = ForwardingPeerConnection(
            connection=self.connection,
            certificate=CERTIFICATE,
            on_rtp=self.rtp.append,
            on_rtcp=self.rtcp.append,
            on_state=self._state,
        )

    def _state(self) -> None:
        self.states += 1

    async def close(self) -> None:
        await self.pc.close()
        await self.port.close()

    @property
    def up(self) -> bool:
        return self.pc.dtls.state == "connected"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    await server.close()


@pytest.fixture
async def client() -> AsyncIterator[RTCPeerConnection]:
    pc = new_pc()
    yield pc
    await pc.close()


async def publish(server: Server, client: RTCPeerConnection) -> str:
    """The client publishes audio; returns the server's answer."""
    client.addTrack(AudioStreamTrack())
    await client.setLocalDescription(await client.createOffer())
    answer = await server.pc.answer_offer(client.localDescription.sdp)
    await client.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(lambda: server.up and server.rtp, "media arrives")
    return answer


async def subscribe(server: Server, client: RTCPeerConnection) -> str:
    """The server offers; returns the client's answer."""
    offer = await server.pc.make_offer()
    await client.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await client.setLocalDescription(await client.createAnswer())
    answer = client.localDescription.sdp
    await server.pc.take_answer(answer)
    return str(answer)


def test_the_versions_are_those_looked_into() -> None:
    assert version("aiortc") == "1.16.0"
    assert version("aioice") == "0.13.0"
    assert version("pylibsrtp") == "1.0.0"


USED_OF_A_CONNECTION = {
    "add_remote_candidate",
    "close",
    "connect",
    "gather_candidates",
    "get_event",
    "ice_controlling",
    "local_candidates",
    "local_password",
    "local_username",
    "recv",
    "remote_candidates",
    "remote_is_lite",
    "remote_password",
    "remote_username",
    "send",
}


def test_what_aiortc_uses_of_a_connection_is_known() -> None:
    """`LiteConnection` stands in for aioice's wherever aiortc reaches for one."""
    used = {
        node.attr
        for module in (aiortc.rtcicetransport, aiortc.rtcpeerconnection)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "_connection"
    }
    assert used == USED_OF_A_CONNECTION


async def test_the_stand_in_has_what_aiortc_uses(server: Server) -> None:
    """Coroutine functions where aioice has them, plain members elsewhere."""
    theirs, ours = Connection(ice_controlling=False), server.connection
    for name in USED_OF_A_CONNECTION:
        assert inspect.iscoroutinefunction(getattr(ours, name)) == (
            inspect.iscoroutinefunction(getattr(theirs, name))
        ), name
    assert ours.ice_controlling is False
    ours.ice_controlling = True  # as aiortc does to whoever offers
    assert ours.ice_controlling is False


async def test_descriptions_say_ice_lite(server: Server) -> None:
    """aiortc writes the attribute when the gatherer's parameters say so, and never says so."""
    server.pc.add_line("audio")
    assert "a=ice-lite" in (await server.pc.make_offer()).splitlines()


async def test_transceivers_are_made_with_our_senders_and_receivers(server: Server) -> None:
    """RTCPeerConnection makes them in one (name-mangled) method."""
    line = server.pc.add_line("video")
    transceiver = server.pc.getTransceivers()[0]
    assert isinstance(transceiver.sender, Sender)
    assert isinstance(transceiver.receiver, Receiver)
    assert transceiver.receiver.transport is server.pc.dtls
    assert line.ssrc == transceiver.sender._ssrc


@pytest.mark.parametrize("name", ["createTransceiver", "connect", "gather"])
def test_what_is_replaced_is_there(name: str) -> None:
    """Methods that aiortc would go on without if it called them otherwise."""
    mangled = f"_RTCPeerConnection__{name}"
    assert callable(getattr(RTCPeerConnection, mangled))
    assert mangled in ForwardingPeerConnection.__dict__


async def test_senders_and_receivers_are_not_started(
    server: Server, client: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiortc starts each of them at each description, with parameters that nobody reads."""

    async def started(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Sender, "send", started)
    monkeypatch.setattr(Receiver, "receive", started)
    await publish(server, client)


async def test_nobody_is_told_of_the_connection_but_by_its_transports(server: Server) -> None:
    server.pc.add_line("audio")
    seen: list[str] = []
    server.pc.on("signalingstatechange", lambda: seen.append(server.pc.signalingState))
    await server.pc.make_offer()
    assert server.pc.signalingState == "have-local-offer"
    assert seen == []


async def test_all_m_lines_share_one_transport(server: Server) -> None:
    server.pc.add_line("audio")
    server.pc.add_line("video")
    sdp = await server.pc.make_offer()
    ports = {line.split()[4:6][1] for line in sdp.splitlines() if line.startswith("a=candidate")}
    assert len(ports) == 1


async def test_the_given_address_is_the_one_candidate(server: Server) -> None:
    """aioice leaves 127.0.0.1 out, and would name every address of the host."""
    assert "127.0.0.1" not in get_host_addresses(use_ipv4=True, use_ipv6=True)
    server.pc.add_line("audio")
    sdp = await server.pc.make_offer()
    [candidate] = [line for line in sdp.splitlines() if line.startswith("a=candidate")]
    assert " 127.0.0.1 " in candidate
    assert candidate.endswith("typ host")
    assert "a=end-of-candidates" in sdp


async def test_descriptions_have_one_fingerprint(server: Server) -> None:
    """aiortc writes three, which some peers refuse."""
    server.pc.add_line("video")
    sdp = await server.pc.make_offer()
    assert sdp.count("a=fingerprint:") == sdp.count("a=fingerprint:sha-256") == 1
    assert {line.split(" ")[1].split("/")[0] for line in sdp.splitlines() if "rtpmap" in line} == {
        "VP8",
        "VP9",
        "H264",
        "AV1",
        "rtx",
    }


async def test_retransmissions_are_offered_and_told_apart(
    server: Server, client: RTCPeerConnection
) -> None:
    """aiortc writes the SSRC of RTX that its sender has, and keeps RTX among the codecs."""
    line = server.pc.add_line("video")
    line.offer_stream("alice")
    await subscribe(server, client)
    offer = server.pc.localDescription.sdp
    assert f"a=ssrc-group:FID {line.ssrc} {line.rtx_ssrc}" in offer
    [media] = server.pc.negotiated().values()
    assert media.rtx[98] == 97
    assert {codec.name for codec in media.codecs} <= {"VP8", "H264"}


async def test_the_server_is_dtls_server_and_chooses_gcm(
    server: Server, client: RTCPeerConnection
) -> None:
    """createAnswer keeps a role that was set before."""
    answer = await publish(server, client)
    assert "a=setup:passive" in answer
    profile = server.pc.dtls._ssl.get_selected_srtp_profile()  # type: ignore[union-attr] # is up
    assert profile == b"SRTP_AEAD_AES_256_GCM"


async def test_media_arrives_plain_without_threads_or_tasks_of_its_own(
    server: Server, client: RTCPeerConnection
) -> None:
    await publish(server, client)
    _, payload_type, _, _, _ = HEADER.unpack_from(server.rtp[0])
    assert payload_type & 0x7F == 96
    await until(lambda: server.rtcp, "the client's sender report")
    assert not [t.name for t in threading.enumerate() if "decoder" in t.name]
    names = {
        cast("Any", task.get_coro()).__qualname__
        for task in asyncio.all_tasks()
        if "RTCRtp" in cast("Any", task.get_coro()).__qualname__
    }
    assert names <= {"RTCRtpSender._run_rtp", "RTCRtpSender._run_rtcp"}


async def test_negotiated_is_what_both_said(server: Server, client: RTCPeerConnection) -> None:
    await publish(server, client)
    [media] = server.pc.negotiated().values()
    assert (media.mid, media.kind, media.receives, media.sends) == ("0", "audio", True, False)
    assert [c.mimeType for c in media.codecs] == ["audio/opus"]
    assert media.extensions["urn:ietf:params:rtp-hdrext:sdes:mid"] == 1


def test_codecs_and_extensions_are_ours_and_aiortcs_own_stay_as_they_are() -> None:
    """createOffer and setRemoteDescription read tables of their module; clients use those too."""
    tables = {"CODECS", "HEADER_EXTENSIONS"}
    for method, read in (
        (RTCPeerConnection.createOffer, tables),
        (RTCPeerConnection.setRemoteDescription, {*tables, "find_common_codecs"}),
    ):
        assert read <= set(cast("Any", method).__code__.co_names)
    names = {codec.name for codec in codecs.CODECS["video"]}
    assert names == {"VP8", "H264", "rtx"}


async def test_offers_keep_mids_ssrcs_and_payload_types(
    server: Server, client: RTCPeerConnection
) -> None:
    """createOffer starts again from aiortc's own payload types: the same in each offer."""
    audio, video = server.pc.add_line("audio"), server.pc.add_line("video")
    audio.offer_stream("alice")
    await subscribe(server, client)
    first = server.pc.negotiated()
    assert {m.kind: m.sends for m in first.values()} == {"audio": True, "video": False}
    video.offer_stream("alice")
    audio.offer_stream(None)
    server.pc.add_line("audio").offer_stream("bob")
    await subscribe(server, client)
    second = server.pc.negotiated()
    assert [m.mid for m in second.values()] == [*(m.mid for m in first.values()), "2"]
    assert [m.sends for m in second.values()] == [False, True, True]
    assert second[video.mid].codecs == first[video.mid].codecs


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
async def test_a_certificate_with_a_negative_serial_number_is_taken(
    server: Server, client: RTCPeerConnection
) -> None:
    """FFmpeg's; `cryptography`, by which aiortc reads certificates, warns of them."""
    made: Any = RTCCertificate.generateCertificate()
    der = bytearray(made._cert.public_bytes(Encoding.DER))
    serial = der.index(made._cert.serial_number.to_bytes(20, "big").lstrip(b"\0"))
    der[serial] |= 0x80
    with pytest.warns(CryptographyDeprecationWarning, match="serial number"):
        certificate = load_der_x509_certificate(bytes(der))
    assert certificate.serial_number < 0
    own: Any = client
    own._RTCPeerConnection__certificates = [theirs := RTCCertificate(made._key, certificate)]
    await publish(server, client)
    told = RTCDtlsParameters(fingerprints=theirs.getFingerprints())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server.pc.dtls._validate_peer_identity(told)
    assert server.up
    with pytest.warns(CryptographyDeprecationWarning, match="serial number"):
        aiortc.rtcdtlstransport.RTCDtlsTransport._validate_peer_identity(server.pc.dtls, told)


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-1"])
async def test_a_certificate_of_somebody_else_is_refused(
    server: Server, client: RTCPeerConnection, algorithm: str
) -> None:
    client.addTrack(AudioStreamTrack())
    await client.setLocalDescription(await client.createOffer())
    wrong = ":".join(["AB"] * 32)
    offer = re.sub(r"a=fingerprint:.*\r\n", "", client.localDescription.sdp)
    offer = offer.replace("a=setup", f"a=fingerprint:{algorithm} {wrong}\r\na=setup")
    answer = await server.pc.answer_offer(offer)
    await client.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(lambda: server.pc.dtls.state == "failed", "DTLS has failed")
    assert not server.rtp


async def test_forged_and_replayed_packets_are_rejected(
    server: Server, client: RTCPeerConnection
) -> None:
    await publish(server, client)
    dtls: Any = client.getTransceivers()[0].receiver.transport
    source = server.connection.remote_address
    assert source is not None
    packet = HEADER.pack(0x80, 96, 1, 1, 4711) + b"x"
    protected = dtls._tx_srtp.protect(packet)
    server.connection.datagram_received(protected, source)
    assert server.rtp[-1] == packet
    before = server.port.dropped()["srtp"]
    for bad in (
        protected,
        protected[:-1] + b"\0",
        bytes([0x80, 96]) + bytes(40),
        bytes([0x80]),
        bytes([0x80]) * 1600,
    ):
        server.connection.datagram_received(bad, source)
    assert server.port.dropped()["srtp"] == before + 5
    assert server.rtp[-1] == packet


async def test_forged_and_replayed_reports_are_rejected(
    server: Server, client: RTCPeerConnection
) -> None:
    await publish(server, client)
    dtls: Any = client.getTransceivers()[0].receiver.transport
    source = server.connection.remote_address
    assert source is not None
    report = bytes(RtcpRrPacket(ssrc=4711))
    protected = dtls._tx_srtp.protect_rtcp(report)
    server.connection.datagram_received(protected, source)
    assert server.rtcp[-1] == report
    before = server.port.dropped()["srtp"]
    taken = len(server.rtcp)
    forged = protected[:4] + b"forg" + protected[8:]
    for bad in (protected, protected[:-1] + b"\0", forged, report + bytes(20), protected[:12]):
        server.connection.datagram_received(bad, source)
    assert server.port.dropped()["srtp"] == before + 5
    assert len(server.rtcp) == taken


async def test_a_packet_can_be_sent_again(server: Server, client: RTCPeerConnection) -> None:
    """aiortc's SRTP sessions allow a repeated index, which retransmission needs."""
    await publish(server, client)
    packet = HEADER.pack(0x80, 96, 1, 1, 4711) + b"x"
    assert server.pc.dtls.send_rtp(packet)
    assert server.pc.dtls.send_rtp(packet)
    assert pylibsrtp.Error is not None


async def test_nothing_is_sent_before_it_is_up(server: Server) -> None:
    assert not server.pc.dtls.send_rtp(bytes(12))
    assert not server.pc.dtls.send_rtcp(bytes(8))


async def test_closing_while_it_connects_leaves_nothing(client: RTCPeerConnection) -> None:
    before = asyncio.all_tasks()
    server = Server()
    client.addTrack(VideoStreamTrack())
    await client.setLocalDescription(await client.createOffer())
    await server.pc.answer_offer(client.localDescription.sdp)
    await server.close()
    await until(lambda: asyncio.all_tasks() <= before, "its tasks have ended")
    assert server.connection.ended


async def test_the_end_of_a_client_is_seen(server: Server, client: RTCPeerConnection) -> None:
    await publish(server, client)
    states = server.states
    await client.close()
    await until(lambda: server.pc.dtls.state == "closed", "DTLS is closed")
    assert server.states > states
    assert not server.connection.ended

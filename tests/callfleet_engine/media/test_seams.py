"""One test for each behaviour of aiortc 1.16 and aioice 0.13 that `seams` leans on or replaces."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any, cast

import aioice.ice
import pylibsrtp
import pytest
from aioice import Candidate, stun
from aioice.ice import Connection, StunProtocol
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import seams
from callfleet_engine.media.rtp import HEADER
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
        self.pc = ForwardingPeerConnection(
            address="127.0.0.1",
            certificate=CERTIFICATE,
            on_rtp=self.rtp.append,
            on_rtcp=self.rtcp.append,
            on_state=self._state,
        )

    def _state(self) -> None:
        self.states += 1

    @property
    def up(self) -> bool:
        return self.pc.dtls.state == "connected"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    await server.pc.close()


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


async def test_transceivers_are_made_with_our_senders_and_receivers(server: Server) -> None:
    """RTCPeerConnection makes them in one (name-mangled) method."""
    line = server.pc.add_line("video")
    transceiver = server.pc.getTransceivers()[0]
    assert isinstance(transceiver.sender, seams._Sender)
    assert isinstance(transceiver.receiver, seams._Receiver)
    assert transceiver.receiver.transport is server.pc.dtls
    assert line.ssrc == transceiver.sender._ssrc


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


async def test_descriptions_have_one_fingerprint_and_no_rtx(server: Server) -> None:
    """aiortc writes three, which some peers refuse, and offers RTX."""
    server.pc.add_line("video")
    sdp = await server.pc.make_offer()
    assert sdp.count("a=fingerprint:") == sdp.count("a=fingerprint:sha-256") == 1
    assert "rtx" not in sdp
    assert {line.split(" ")[1].split("/")[0] for line in sdp.splitlines() if "rtpmap" in line} == {
        "VP8",
        "H264",
    }


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


async def test_a_clients_candidates_are_never_probed(
    server: Server, client: RTCPeerConnection
) -> None:
    await publish(server, client)
    assert [c.type for c in server.pc.connection.remote_candidates] == ["prflx"]
    assert server.pc.connection.remote_address is not None


async def test_forged_and_replayed_packets_are_rejected(
    server: Server, client: RTCPeerConnection
) -> None:
    await publish(server, client)
    dtls: Any = client.getTransceivers()[0].receiver.transport
    packet = HEADER.pack(0x80, 96, 1, 1, 4711) + b"x"
    protected = dtls._tx_srtp.protect(packet)
    server.pc.connection.data_received(protected, 1)
    assert server.rtp[-1] == packet
    before = server.pc.dtls.rejected
    server.pc.connection.data_received(protected, 1)
    server.pc.connection.data_received(protected[:-1] + b"\0", 1)
    server.pc.connection.data_received(bytes([0x80, 96]) + bytes(40), 1)
    server.pc.connection.data_received(bytes([0x80]), 1)
    server.pc.connection.data_received(bytes([0x80]) * 1600, 1)
    assert server.pc.dtls.rejected == before + 3
    assert server.rtp[-1] == packet


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


def stun_protocol(heard: Heard) -> seams._StunProtocol:
    return seams._StunProtocol(cast("Connection", heard))


class Heard:
    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.requests: list[stun.Message] = []

    def data_received(self, data: bytes, component: int) -> None:
        assert component == 1
        self.data.append(data)

    def request_received(self, message: stun.Message, *_: object) -> None:
        self.requests.append(message)


async def test_media_goes_past_the_stun_parser() -> None:
    heard = Heard()
    protocol = stun_protocol(heard)
    protocol.datagram_received(b"\x80 media", ("127.0.0.1", 1))
    protocol.datagram_received(b"\x16 dtls", ("127.0.0.1", 1))
    protocol.datagram_received(b"", ("127.0.0.1", 1))
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    protocol.datagram_received(bytes(request), ("127.0.0.1", 1))
    assert heard.data == [b"\x80 media", b"\x16 dtls"]
    assert len(heard.requests) == 1


async def test_malformed_stun_is_dropped() -> None:
    """aioice's parser lets struct.error out at an attribute of a wrong length."""
    malformed = struct.pack("!HHI12sHH", 1, 4, stun.COOKIE, bytes(12), 0x24, 3)
    upstream = StunProtocol(cast("Connection", Heard()))
    with pytest.raises(struct.error):
        upstream.datagram_received(malformed, ("127.0.0.1", 1))
    heard = Heard()
    stun_protocol(heard).datagram_received(malformed, ("127.0.0.1", 1))
    assert (heard.data, heard.requests) == ([], [])


@given(st.binary(max_size=60), st.sampled_from([0x0001, 0x0101, 0x0111, 0x0003]))
def test_any_datagram_is_taken(body: bytes, kind: int) -> None:
    async def take() -> None:
        protocol = stun_protocol(Heard())
        protocol.local_candidate = Candidate("1", 1, "udp", 1, "127.0.0.1", 1, "host")
        protocol.datagram_received(body, ("127.0.0.1", 1))
        header = struct.pack("!HHI12s", kind, len(body), stun.COOKIE, bytes(12))
        protocol.datagram_received(header + body, ("127.0.0.1", 1))

    asyncio.run(take())


async def test_a_check_without_priority_is_taken(server: Server) -> None:
    """aioice reads PRIORITY unasked; FFmpeg 8 leaves it out."""
    server.pc.add_line("audio")
    await server.pc.make_offer()
    connection = server.pc.connection
    connection.remote_password = "x" * 24
    protocol = connection._protocols[0]
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    with pytest.raises(KeyError, match="PRIORITY"):
        Connection.check_incoming(connection, check, ("127.0.0.1", 9), protocol)
    connection.check_incoming(check, ("127.0.0.1", 9), protocol)
    assert [c.port for c in connection.remote_candidates] == [9]


async def test_the_queue_of_dtls_is_bounded(server: Server) -> None:
    """aioice's queue is not, and anybody can send to the port."""
    for _ in range(1000):
        server.pc.connection.data_received(b"\x16 flood", 1)
        server.pc.connection.data_received(b"\x50 channel data", 1)
    assert server.pc.connection._queue.qsize() == seams._MAX_QUEUED_DTLS


async def test_closing_while_it_connects_leaves_nothing(client: RTCPeerConnection) -> None:
    before = asyncio.all_tasks()
    server = Server()
    client.addTrack(VideoStreamTrack())
    await client.setLocalDescription(await client.createOffer())
    await server.pc.answer_offer(client.localDescription.sdp)
    await server.pc.close()
    await until(lambda: asyncio.all_tasks() <= before, "its tasks have ended")
    assert server.pc.connection.ended


async def test_the_end_of_a_client_is_seen(server: Server, client: RTCPeerConnection) -> None:
    await publish(server, client)
    states = server.states
    await client.close()
    await until(lambda: server.pc.dtls.state == "closed", "DTLS is closed")
    assert server.states > states
    assert not server.pc.connection.ended

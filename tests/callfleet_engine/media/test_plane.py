"""Real clients on loopback: what one publishes the others get, unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from aiortc import RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_PLI, RtcpPsfbPacket, RtcpRrPacket, RtcpSrPacket

from callfleet_engine.media.description import MAX_SDP_BYTES
from callfleet_engine.media.interface import BadSdpError, MediaError, NotPermittedError
from callfleet_engine.media.plane import AiortcCall, AiortcPlane, MediaSettings
from callfleet_engine.media.session import MAX_PUBLISHERS, MAX_SCREENS
from tests.callfleet_engine.media.peers import (
    Peer,
    Picture,
    continuous,
    new_pc,
    ufrag_of,
    until,
)
from tests.callfleet_engine.media.translator import Translator

pytestmark = pytest.mark.slow

Make = Callable[..., Peer]


async def test_audio_and_video_reach_the_other_participant(peers: Make, plane: AiortcPlane) -> None:
    alice, bob = peers("alice"), peers("bob")
    await alice.publish_both()
    await bob.publish_both()
    await until(
        lambda: bob.offers and len(bob.tracks()) == 2 and bob.answered == len(bob.offers),
        "bob has answered an offer of alice's tracks",
    )
    mid = bob.tracks()["alice", "video"]
    await until(lambda: bob.frames[mid] > 5, "bob decodes alice's video")
    await until(lambda: len(bob.received("alice", "audio")) > 20, "bob hears alice")

    video, audio = bob.received("alice", "video"), bob.received("alice", "audio")
    assert continuous(video)
    assert continuous(audio)
    assert {p.payload_type for p in video} == {97}
    assert {p.payload_type for p in audio} == {96}
    assert all(p.extensions.abs_send_time is not None for p in video)
    assert bob.last_frame[mid].width == 160
    assert {(pc, path) for pc, path, _ in bob.connected_events} == {
        ("publish", "direct"),
        ("subscribe", "direct"),
    }
    counters = plane.counters()
    assert counters.received_packets > 20
    assert counters.forwarded_packets > 20
    assert counters.lost_packets_in == 0


async def two(peers: Make) -> tuple[Peer, Peer]:
    """Alice publishes audio and video, Bob gets them."""
    alice, bob = peers("alice"), peers("bob")
    await alice.publish_both()
    await until(lambda: bob.answered == 1, "bob has answered")
    await until(lambda: len(bob.received("alice", "video")) > 3, "bob gets video")
    return alice, bob


async def test_lips_can_be_kept_in_step(peers: Make) -> None:
    _, bob = await two(peers)
    await until(
        lambda: len({r.ssrc for r in bob.reports if isinstance(r, RtcpSrPacket)}) == 2,
        "sender reports of both tracks",
    )
    for kind in ("audio", "video"):
        packets = bob.received("alice", kind)
        reports = [
            r for r in bob.reports if isinstance(r, RtcpSrPacket) and r.ssrc == packets[0].ssrc
        ]
        clock = 48000 if kind == "audio" else 90000
        for report in reports:
            distance = (report.sender_info.rtp_timestamp - packets[0].timestamp) & 0xFFFFFFFF
            assert (distance + clock) & 0xFFFFFFFF < 60 * clock
    # One MediaStream of one name, so that a browser plays both by the same clock.
    assert bob.offers[0][0].count("a=msid:alice ") == 2


async def test_publisher_is_told_how_it_is_received(peers: Make) -> None:
    alice, _ = await two(peers)

    def told() -> bool:
        reports = [r for r in alice.feedback if isinstance(r, RtcpRrPacket)]
        remb = [
            r for r in alice.feedback if isinstance(r, RtcpPsfbPacket) and r.fmt == RTCP_PSFB_APP
        ]
        return len({r.reports[0].ssrc for r in reports}) == 2 and bool(remb)

    await until(told, "receiver reports of both tracks, and REMB")


async def test_a_keyframe_request_goes_up_to_the_publisher(peers: Make) -> None:
    alice, bob = await two(peers)
    mid = bob.tracks()["alice", "video"]
    receiver = next(t.receiver for t in bob.subscribe_pc.getTransceivers() if t.mid == mid)
    ssrc = bob.received("alice", "video")[0].ssrc

    def asked() -> int:
        return sum(isinstance(p, RtcpPsfbPacket) and p.fmt == RTCP_PSFB_PLI for p in alice.feedback)

    before = asked()
    assert before >= 1  # the new subscriber's
    for _ in range(5):
        await receiver._send_rtcp_pli(ssrc)
    await until(lambda: asked() > before, "the request reached alice")
    await until(
        lambda: bob.session.stats().subscribed[1].pli_count >= 5, "all requests have arrived"
    )
    assert asked() <= before + 2


async def test_what_is_lost_downstream_is_sent_again(peers: Make) -> None:
    _, bob = await two(peers)
    bob.lose_media(every=5)
    have = len(bob.received("alice", "video"))
    await until(lambda: bob.dropped >= 3, "packets are lost")
    await until(
        lambda: (
            len(bob.received("alice", "video")) > have + 25
            and continuous(bob.repaired("alice", "video"))
        ),
        "all that was lost came again",
    )
    video = next(s for s in bob.session.stats().subscribed if s.kind == "video")
    assert video.retransmitted_packets_sent >= 1
    assert video.nack_count >= 1


async def test_a_muted_participant_is_not_forwarded(peers: Make) -> None:
    alice, bob = await two(peers)
    alice.session.set_sending({"microphone": False})
    video = len(bob.received("alice", "video"))
    await until(lambda: len(bob.received("alice", "video")) > video + 2, "video goes on")
    before = len(bob.received("alice", "audio"))
    await until(lambda: len(bob.received("alice", "video")) > video + 8, "video goes on")
    assert len(bob.received("alice", "audio")) == before
    alice.session.set_sending({"microphone": True})
    await until(lambda: len(bob.received("alice", "audio")) > before + 5, "audio comes back")
    assert continuous(bob.received("alice", "audio"))


async def test_muting_before_publishing_holds(peers: Make) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.session.set_sending({"microphone": False})
    await alice.publish_both()
    await until(lambda: bob.offers and bob.received("alice", "video"), "video flows")
    assert not bob.received("alice", "audio")


async def test_tracks_added_later_are_offered(peers: Make) -> None:
    alice, bob = peers("alice"), peers("bob")
    await alice.publish(AudioStreamTrack())
    await until(lambda: bob.answered == 1, "bob has answered")
    assert set(bob.tracks()) == {("alice", "audio")}
    mids = bob.tracks()
    await alice.publish(Picture())
    await until(lambda: bob.answered == 2, "bob has answered again")
    assert set(bob.tracks()) == {("alice", "audio"), ("alice", "video")}
    assert bob.tracks()["alice", "audio"] == mids["alice", "audio"]
    await until(lambda: bob.frames[bob.tracks()["alice", "video"]] > 2, "bob decodes the video")
    assert continuous(bob.received("alice", "audio"))


async def test_tracks_taken_back_are_withdrawn(peers: Make) -> None:
    alice, bob = await two(peers)
    for transceiver in alice.publish_pc.getTransceivers():
        if transceiver.kind == "video":
            transceiver.direction = "inactive"
    await alice.renegotiate()
    await until(lambda: bob.answered == 2, "bob has answered again")
    assert set(bob.tracks()) == {("alice", "audio")}
    assert {s.kind for s in bob.session.stats().subscribed} == {"audio"}


async def test_m_lines_of_those_who_left_are_used_again(peers: Make) -> None:
    alice, bob = await two(peers)
    first = bob.tracks()
    await alice.session.close()
    await until(lambda: bob.answered == 2 and not bob.tracks(), "alice is withdrawn")
    assert bob.offers[-1][0].count("a=inactive") == 2
    carol = peers("carol")
    await carol.publish_both(luma=200)
    await until(lambda: bob.answered == 3, "carol is offered")
    assert bob.tracks() == {("carol", kind): mid for (_, kind), mid in first.items()}
    mid = bob.tracks()["carol", "video"]
    await until(lambda: bob.received("carol", "video")[-1].payload, "packets")
    seen = bob.frames[mid]
    await until(lambda: bob.frames[mid] > seen + 5, "bob decodes carol's video")
    assert max(bytes(bob.last_frame[mid].planes[0])) > 170
    assert continuous(bob.received("carol", "video"))


async def test_one_offer_is_outstanding_at_a_time(peers: Make) -> None:
    bob = peers("bob")
    bob.auto_answer = False
    for name in ("alice", "carol", "dave"):
        await peers(name).publish(AudioStreamTrack())
    await until(lambda: bob.offers, "an offer")
    assert len(bob.offers) == 1
    bob.auto_answer = True
    await bob.answer()
    await until(lambda: bob.answered == 2, "the next offer after the answer")
    assert {p for p, _ in bob.tracks()} == {"alice", "carol", "dave"}
    with pytest.raises(BadSdpError, match="no offer to answer"):
        await bob.session.answer(bob.subscribe_pc.localDescription.sdp)


async def test_h264_keeps_its_codec(peers: Make) -> None:
    alice, bob = peers("alice"), peers("bob")
    alice.publish_pc.addTrack(Picture())
    h264 = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == "video/H264"]
    alice.publish_pc.getTransceivers()[0].setCodecPreferences(h264)
    await alice.renegotiate()
    await until(lambda: bob.offers and bob.frames[bob.tracks()["alice", "video"]] > 2, "decoded")
    [stats] = bob.session.stats().subscribed
    assert stats.mime_type == "video/H264"
    assert {p.payload_type for p in bob.received("alice", "video")} <= {99, 101}


async def test_stats_have_both_directions(peers: Make) -> None:
    alice, bob = await two(peers)
    await until(
        lambda: all(s.packets_lost is not None for s in bob.session.stats().subscribed),
        "bob's receiver reports",
    )
    published = {s.kind: s for s in alice.session.stats().published}
    subscribed = {s.kind: s for s in bob.session.stats().subscribed}
    assert published["video"].mime_type == subscribed["video"].mime_type == "video/VP8"
    assert published["audio"].mime_type == subscribed["audio"].mime_type == "audio/opus"
    assert published["video"].packets_lost == 0
    assert {s.participant for s in subscribed.values()} == {"alice"}
    assert 0 < subscribed["video"].packets_sent <= published["video"].packets_received
    assert published["video"].bytes_received > 0
    assert bob.session.stats().published == ()
    assert alice.session.stats().subscribed == ()


async def test_permissions_are_kept(peers: Make) -> None:
    listener = peers("listener", can_publish=False)
    deaf = peers("deaf", can_subscribe=False)
    alice = peers("alice")
    with pytest.raises(NotPermittedError, match="may not publish"):
        await listener.publish(AudioStreamTrack())
    await alice.publish(AudioStreamTrack())
    await until(lambda: listener.answered == 1, "the listener has answered")
    assert not deaf.offers


async def test_a_malformed_offer_leaves_the_session_usable(peers: Make) -> None:
    alice = peers("alice")
    with pytest.raises(BadSdpError):
        await alice.session.publish("v=0\r\nrubbish")
    with pytest.raises(BadSdpError, match="no publish connection"):
        await alice.session.add_candidate("publish", None)
    await alice.publish(AudioStreamTrack())
    with pytest.raises(BadSdpError):
        await alice.session.publish("")
    await alice.session.add_candidate("publish", {"candidate": "", "sdpMid": "0"})
    await alice.session.add_candidate("publish", None)
    await until(lambda: alice.connected_events, "it connects all the same")


async def test_damaged_offers_break_nothing(peers: Make, call: AiortcCall) -> None:
    source = peers("source")
    source.publish_pc.addTrack(AudioStreamTrack())
    source.publish_pc.addTrack(Picture())
    offer = (await source.publish_pc.createOffer()).sdp.splitlines()
    chance = random.Random(7)  # noqa: S311 (the same damage each run)
    for attempt in range(60):
        lines = list(offer)
        for _ in range(2):
            at = chance.randrange(len(lines))
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)] + chance.choice(["", "9"])
        session = call.join(f"damaged-{attempt}", source)
        with contextlib.suppress(MediaError):
            await session.publish("\r\n".join(lines) + "\r\n")
        await session.close()


async def test_a_client_that_hangs_up_is_lost(peers: Make) -> None:
    alice, bob = await two(peers)
    await alice.publish_pc.close()
    await until(lambda: alice.losses == ["dtls_closed"], "alice is lost")
    await until(lambda: bob.answered == 2 and not bob.tracks(), "bob is told")
    with pytest.raises(MediaError, match="has ended"):
        await alice.session.publish("v=0")


async def test_a_client_that_falls_silent_is_lost(kind: type[AiortcPlane]) -> None:
    plane = kind(MediaSettings(addresses=("127.0.0.1",), consent_seconds=1.5))
    await plane.start()
    alice = Peer("alice").join(plane.open_call("other"))
    await alice.publish(AudioStreamTrack())
    await until(lambda: alice.connected_events, "connected")
    dtls: Any = alice.publish_pc.getTransceivers()[0].receiver.transport
    for protocol in dtls.transport._connection._protocols:
        protocol.transport.close()
    await until(lambda: alice.losses == ["consent"], "consent has expired")
    assert alice.failures == []
    assert plane.media_port.connections == 0
    assert plane.media_port.by_address == {}
    await asyncio.gather(alice.close(), plane.close())


async def test_a_client_whose_address_changes_stays_in_the_call(
    peers: Make, plane: AiortcPlane
) -> None:
    """Both connections, each behind a translator that forgets its mapping."""
    server = ("127.0.0.1", plane.port)
    publishing, subscribing = Translator(server), Translator(server)
    alice, bob = peers("alice"), peers("bob")
    alice.publish_through, bob.subscribe_through = publishing.address, subscribing.address
    await alice.publish_both()
    await until(lambda: bob.offers and bob.received("alice", "video"), "bob gets video")
    assert publishing.outside | subscribing.outside <= set(plane.media_port.by_address)
    for translator in (publishing, subscribing):
        translator.rebind()
    known = plane.media_port.by_address
    await until(
        lambda: (
            publishing.outside
            and subscribing.outside
            and publishing.outside | subscribing.outside <= known.keys()
        ),
        "both are known by their new addresses",
    )
    before = len(bob.received("alice", "video"))
    await until(lambda: len(bob.received("alice", "video")) > before + 10, "video goes on")
    assert not alice.losses + bob.losses
    for translator in (publishing, subscribing):
        translator.close()


@pytest.mark.parametrize("pc", ["publish", "subscribe"])
async def test_a_restart_of_ice_keeps_media(peers: Make, pc: str) -> None:
    """aiortc's client has no restart: it keeps to the old credentials, which must serve on."""
    alice, bob = await two(peers)
    if pc == "publish":
        offer = (await alice.publish_pc.createOffer()).sdp
        old = ufrag_of(alice.publish_pc.remoteDescription.sdp)
        answer = await alice.session.publish(
            offer.replace(f"a=ice-ufrag:{ufrag_of(offer)}", "a=ice-ufrag:anew")
        )
        assert ufrag_of(answer) != old
    else:
        bob.session.restart_ice()
        await until(lambda: bob.answered == 2, "bob has answered again")
        assert ufrag_of(bob.offers[0][0]) != ufrag_of(bob.offers[1][0])
    before = len(bob.received("alice", "video"))
    await until(lambda: len(bob.received("alice", "video")) > before + 10, "video goes on")
    assert not alice.losses + bob.losses


@pytest.mark.parametrize(
    ("candidates", "path"),
    [
        (lambda sdp: sdp.replace("typ host", "typ relay"), "relayed"),
        (lambda sdp: sdp, "direct"),
        # An address that no candidate names, as behind another translation.
        (lambda sdp: sdp.replace("127.0.0.1", "192.0.2.7"), "direct"),
        (
            lambda sdp: sdp.replace("127.0.0.1", "192.0.2.7").replace("typ host", "typ relay"),
            "relayed",
        ),
    ],
)
async def test_the_path_is_told_by_the_clients_candidates(
    peers: Make, candidates: Callable[[str], str], path: str
) -> None:
    alice = peers("alice")
    alice.publish_pc.addTrack(AudioStreamTrack())
    await alice.publish_pc.setLocalDescription(await alice.publish_pc.createOffer())
    answer = await alice.session.publish(candidates(alice.publish_pc.localDescription.sdp))
    await alice.publish_pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(lambda: alice.connected_events, "connected")
    assert [(pc, found) for pc, found, _ in alice.connected_events] == [("publish", path)]


async def test_an_attempt_ends_in_time(kind: type[AiortcPlane]) -> None:
    plane = kind(MediaSettings(addresses=("127.0.0.1",), attempt_seconds=0.3))
    await plane.start()
    call = plane.open_call("other")
    alice, bob = Peer("alice").join(call), Peer("bob").join(call)
    bob.auto_answer = False
    alice.publish_pc.addTrack(AudioStreamTrack())
    offer = await alice.publish_pc.createOffer()
    await alice.publish_pc.setLocalDescription(offer)
    await alice.session.publish(alice.publish_pc.localDescription.sdp)
    await until(lambda: alice.failures == [("publish", "timeout")], "alice's attempt ends")
    await until(lambda: bob.failures == [("subscribe", "timeout")], "bob's attempt ends")
    await asyncio.gather(alice.close(), bob.close(), plane.close())


async def test_ids_are_unique_and_can_stand_in_sdp(plane: AiortcPlane, call: AiortcCall) -> None:
    with pytest.raises(ValueError, match="open already"):
        plane.open_call(call.call_id)
    peer = Peer("alice").join(call)
    with pytest.raises(ValueError, match="in the call already"):
        call.join("alice", peer)
    with pytest.raises(ValueError, match="letters, digits"):
        call.join("a b\r\n", peer)
    await peer.session.close()
    await peer.session.close()
    await peer.join(call).session.close()
    await peer.close()


async def test_a_closed_call_is_gone(plane: AiortcPlane, call: AiortcCall, peers: Make) -> None:
    alice, _ = await two(peers)
    await call.close()
    await call.close()
    assert alice.losses == []
    assert plane.open_call(call.call_id) is not call


async def test_offers_for_the_most_publishers_fit_a_message(peers: Make) -> None:
    bob = peers("bob")
    bob.auto_answer = False
    await peers("alice").publish_both()
    await until(lambda: bob.offers, "an offer")
    offer, tracks = bob.offers[0]
    assert len(tracks) == 2
    sections = offer.split("m=")
    pair = sum(map(len, sections[1:])) + sum(s.count("\r\n") for s in sections[1:])  # as JSON
    longest = len(sections[0]) + (MAX_PUBLISHERS + MAX_SCREENS) * (pair + 300)
    assert longest < MAX_SDP_BYTES


async def test_a_second_video_is_offered_as_a_screen_and_screens_are_bounded(peers: Make) -> None:
    zoe = peers("zoe")
    zoe.auto_answer = False
    for number in range(MAX_SCREENS):
        await peers(f"p{number}").session.publish(await camera_and_screen())
    late = peers("late")
    with pytest.raises(MediaError, match=f"{MAX_SCREENS} screens") as refused:
        await late.session.publish(await camera_and_screen())
    assert (refused.value.code, bool(refused.value.remedy)) == ("full", True)

    await until(lambda: zoe.offers, "an offer")
    await late.session.publish(await camera_and_screen(screen="inactive"))
    offered = [(t.participant, t.source) for t in zoe.offers[0][1]]
    assert offered[:2] == [("p0", "camera"), ("p0", "screen")]


async def camera_and_screen(screen: str = "sendonly") -> str:
    pc = new_pc()
    pc.addTransceiver("video", "sendonly")
    pc.addTransceiver("video", screen)
    await pc.setLocalDescription(await pc.createOffer())
    sdp: str = pc.localDescription.sdp
    await pc.close()
    return sdp


async def test_layers_of_nobody_cannot_be_preferred(peers: Make) -> None:
    alice, bob = peers("alice"), peers("bob")
    with pytest.raises(MediaError, match="'carol'") as refused:
        bob.session.prefer_layer("carol", "camera", 0)
    assert refused.value.code == "bad_message"
    bob.session.prefer_layer("alice", "camera", None)
    await alice.publish_both()
    await until(lambda: bob.answered, "bob has answered")
    mid = bob.tracks()["alice", "video"]
    await until(lambda: len(bob.received("alice", "audio")) > 20, "bob hears alice")
    assert not bob.received("alice", "video")
    bob.session.prefer_layer("alice", "camera", 2)
    await until(lambda: bob.frames[mid] > 2, "bob sees alice")

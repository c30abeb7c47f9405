"""Real clients on loopback: what one publishes the others get, unharmed."""

from __future__ import annotations

import pytest
from aiortc import RTCRtpSender
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_PLI, RtcpPsfbPacket, RtcpRrPacket, RtcpSrPacket

from callfleet_engine.media.interface import MediaError, NotPermittedError
from callfleet_engine.media.plane import AiortcCall, AiortcPlane
from tests.callfleet_engine.media.peers import Make, Peer, Picture, continuous, two, until

pytestmark = pytest.mark.slow


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
    # Above 15 % the path looks overloaded: video pauses, and nothing of before is repaired then.
    bob.lose_media(every=10)
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


async def test_when_something_came_is_known(
    plane: AiortcPlane, call: AiortcCall, peers: Make
) -> None:
    empty = plane.open_call("empty")
    await two(peers)
    rested, first = empty.active_at, call.active_at
    await until(lambda: call.active_at > first + 0.3, "something comes, and is noticed")
    assert empty.active_at == rested


async def test_permissions_are_kept(peers: Make) -> None:
    listener = peers("listener", can_publish=False)
    deaf = peers("deaf", can_subscribe=False)
    alice = peers("alice")
    with pytest.raises(NotPermittedError, match="may not publish"):
        await listener.publish(AudioStreamTrack())
    await alice.publish(AudioStreamTrack())
    await until(lambda: listener.answered == 1, "the listener has answered")
    assert not deaf.offers


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

"""Real clients on loopback: what one publishes the others get, unharmed."""

from __future__ import annotations

from collections.abc import Callable

from callfleet_engine.media.plane import AiortcPlane
from tests.callfleet_engine.media.peers import Peer, continuous, until

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
    await until(lambda: bob.frames[mid] > 10, "bob decodes alice's video")
    await until(lambda: len(bob.received("alice", "audio")) > 50, "bob hears alice")

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
    assert counters.received_packets > 50
    assert counters.forwarded_packets > 50
    assert counters.lost_packets_in == 0

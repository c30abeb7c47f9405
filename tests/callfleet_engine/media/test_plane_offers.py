"""What clients are offered, and what they may not offer, with real clients on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from aiortc.mediastreams import AudioStreamTrack

from callfleet_engine.media.description import MAX_SDP_BYTES
from callfleet_engine.media.interface import BadSdpError, MediaError
from callfleet_engine.media.negotiating import Turns
from callfleet_engine.media.plane import AiortcCall
from callfleet_engine.media.session import MAX_PUBLISHERS, MAX_SCREENS
from tests.callfleet_engine.media.peers import Make, Picture, continuous, new_pc, two, until

pytestmark = pytest.mark.slow


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


class HeldTurns(Turns):
    """Gives nobody a turn before it is told to."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop().time)
        self.waiting = 0
        self.given = asyncio.Event()

    async def wait(self) -> None:
        self.waiting += 1
        await self.given.wait()


async def test_an_offer_that_has_waited_is_of_those_who_are_there(
    peers: Make, call: AiortcCall
) -> None:
    turns = call.plane.turns = HeldTurns()
    bob, alice = peers("bob"), peers("alice")
    await alice.publish(AudioStreamTrack())
    await until(lambda: turns.waiting, "an offer waits")
    await alice.session.close()
    turns.given.set()
    await until(lambda: call.sessions["bob"]._negotiation == "stable", "there is nothing to offer")
    assert bob.offers == []
    await peers("carol").publish(AudioStreamTrack())
    await until(lambda: bob.answered == 1, "bob has answered")
    assert set(bob.tracks()) == {("carol", "audio")}
    assert bob.offers[0][0].count("m=") == 2


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
        await until(lambda: zoe.offers, "an offer")
    late = peers("late")
    with pytest.raises(MediaError, match=f"{MAX_SCREENS} screens") as refused:
        await late.session.publish(await camera_and_screen())
    assert (refused.value.code, bool(refused.value.remedy)) == ("full", True)

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

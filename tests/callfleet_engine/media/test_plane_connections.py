"""How connections of real clients on loopback begin, move and end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from callfleet_engine.media.interface import MediaError
from callfleet_engine.media.plane import AiortcPlane, MediaSettings
from tests.callfleet_engine.media.peers import Make, Peer, two, ufrag_of, until
from tests.callfleet_engine.media.translator import Translator

pytestmark = pytest.mark.slow


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

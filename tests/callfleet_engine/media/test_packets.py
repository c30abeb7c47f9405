"""Packets as real clients send them, whole, cut short and damaged."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from callfleet_engine.media import rtp
from callfleet_engine.media.interface import MediaSession
from callfleet_engine.media.session import AiortcSession
from tests.callfleet_engine.media.peers import Make, until
from tests.callfleet_engine.seeded import seeded

PACKETS = Path(__file__).parent / "packets"
DAMAGES = 40
"""Of each packet."""


def packet(name: str) -> bytes:
    return (PACKETS / f"{name}.bin").read_bytes()


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in PACKETS.glob(f"{kind}-*.bin"))


@pytest.mark.parametrize(
    ("name", "payload", "extensions"),
    [
        ("rtp-opus-chromium", "78016c", {4: "30", 1: "be"}),
        ("rtp-vp8-keyframe-chromium", "9080be", {2: "a29227", 4: "31"}),
        ("rtp-vp8-end-of-frame-chromium", "8080be", {2: "a2c2b4", 4: None}),
        ("rtp-padding-chromium", "000000", {4: "31", 2: "a2a402"}),
        ("rtp-opus-ffmpeg", "fc7e02", {1: None}),
        ("rtp-h264-stap-a-ffmpeg", "180016", {1: None}),
        ("rtp-h264-fu-a-ffmpeg", "7c455b", {1: None}),
        ("rtp-two-byte-extensions", "706179", {1: "", 2: "ff", 4: "303132", 3: None}),
        ("rtp-csrcs", "706179", {1: None}),
    ],
)
def test_payloads_and_extensions_are_found(
    name: str, payload: str, extensions: dict[int, str | None]
) -> None:
    data = packet(name)
    offset = rtp.payload_offset(data)
    assert data[offset : offset + 3].hex() == payload
    for identifier, value in extensions.items():
        found = rtp.extension(data, identifier)
        assert (None if found is None else found.hex()) == value


@pytest.mark.parametrize("name", names("rtp"))
def test_a_header_that_is_cut_short_is_refused(name: str) -> None:
    data = packet(name)
    for length in range(12, rtp.payload_offset(data)):
        with pytest.raises(ValueError, match="truncated"):
            rtp.payload_offset(data[:length])


def test_extensions_get_the_numbers_of_the_client() -> None:
    chromium = packet("rtp-opus-chromium")
    renumbered = rtp.renumber_extensions(chromium, {1: 7})
    assert len(renumbered) == len(chromium)
    assert rtp.extension(renumbered, 7) == bytes([0xBE])
    assert [rtp.extension(renumbered, i) for i in (1, 4)] == [None, None]
    offset = rtp.payload_offset(chromium)
    assert renumbered[offset:] == chromium[offset:]
    swapped = rtp.renumber_extensions(chromium, {1: 4, 4: 1})
    assert (rtp.extension(swapped, 4), rtp.extension(swapped, 1)) == (b"\xbe", b"0")
    for untouched in ("rtp-opus-ffmpeg", "rtp-csrcs", "rtp-two-byte-extensions"):
        assert rtp.renumber_extensions(packet(untouched), {1: 7}) == packet(untouched)


def damaged(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """The packet, each beginning of it, and some with flipped bits."""
    yield data
    for length in range(len(data)):
        yield data[:length]
    for _ in range(DAMAGES):
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            # Headers are at the front.
            at = min(chance.randrange(len(data)), chance.randrange(len(data)))
            flipped[at] ^= 1 << chance.randrange(8)
        yield bytes(flipped)


def aimed(data: bytes, at: int, ssrc: int) -> bytes:
    """The same packet of or about another SSRC."""
    return data if len(data) < at + 4 else data[:at] + struct.pack("!L", ssrc) + data[at + 4 :]


@pytest.mark.slow
async def test_damaged_packets_harm_no_call(peers: Make) -> None:
    """Past SRTP: what an ill-meaning participant of the call can send."""
    alice, bob = peers("alice"), peers("bob")
    await alice.publish_both()
    await bob.publish_both()
    for one, other in ((alice, "bob"), (bob, "alice")):
        await until(
            lambda one=one, other=other: (  # type: ignore[misc]
                one.offers and (other, "video") in one.tracks() and one.received(other, "video")
            ),
            "both see one another",
        )
    publisher, subscriber = plain(alice.session), plain(bob.session)
    published = [stream.ssrc for stream in publisher.stats().published]
    sent = [stream.ssrc for stream in subscriber.stats().subscribed]
    assert len(published) == len(sent) == 2
    chance = seeded(1)
    for name in names("rtp"):
        for data in damaged(packet(name), chance):
            if len(data) >= 12:
                for ssrc in published:
                    publisher._publish_rtp(aimed(data, 8, ssrc))
                publisher._publish_rtp(data)
    for name in names("rtcp"):
        for data in damaged(packet(name), chance):
            for at, ssrc in [(4, s) for s in published] + [(8, s) for s in sent]:
                publisher._publish_rtcp(aimed(data, at, ssrc))
                subscriber._subscribe_rtcp(aimed(data, at, ssrc))
    carol = peers("carol")
    await until(lambda: carol.offers and ("bob", "video") in carol.tracks(), "an offer for carol")
    await until(lambda: len(carol.received("bob", "video")) > 10, "video of bob for carol")
    assert not alice.losses + bob.losses
    assert not alice.failures + bob.failures


def plain(session: MediaSession) -> AiortcSession:
    assert isinstance(session, AiortcSession)
    return session

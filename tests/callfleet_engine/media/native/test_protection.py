"""SRTP of the native plane and libsrtp's, as aiortc sets it up, open what the other protects."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

import pylibsrtp
import pytest
from pylibsrtp import Policy, Session

from tests.callfleet_engine.seeded import seeded

from .conftest import Ask
from .reference import REFUSED, shown
from .walks import step

PROFILES = {
    "SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
    "SRTP_AES128_CM_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14),
    "SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    "SRTP_AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
}
SSRCS = (1, 0xDEADBEEF)
PACKETS = 400

pytestmark = [pytest.mark.peer, pytest.mark.parametrize("name", PROFILES)]


class Libsrtp:
    """Both directions of a transport under the same keys."""

    def __init__(self, name: str) -> None:
        profile, key_length, salt_length = PROFILES[name]
        chance = seeded(7)
        self.key, self.salt = chance.randbytes(key_length), chance.randbytes(salt_length)
        self.question = f"keys {name} {self.key.hex()} {self.salt.hex()}"
        self.outbound = self._session(profile, Policy.SSRC_ANY_OUTBOUND)
        self.inbound = self._session(profile, Policy.SSRC_ANY_INBOUND)

    def _session(self, profile: int, ssrc_type: int) -> Session:
        policy = Policy(self.key + self.salt, ssrc_type=ssrc_type, srtp_profile=profile)
        policy.allow_repeat_tx = True
        policy.window_size = 1024
        return Session(policy)

    def answer(self, question: str) -> str:
        """What libsrtp says to it."""
        name, text = question.split(" ")
        session = self.outbound if name.startswith("protect") else self.inbound
        try:
            return shown(getattr(session, name)(bytes.fromhex(text)))
        except pylibsrtp.Error:
            return REFUSED


def rtp_packet(chance: Random, number: int, ssrc: int) -> bytes:
    block = chance.choice(
        (b"", bytes.fromhex("bede000110aa0000"), bytes.fromhex("100000010400abcd"))
    )
    first = 0x90 if block else 0x80
    header = struct.pack("!BBHLL", first, 96, number & 0xFFFF, number * 3, ssrc)
    return header + block + chance.randbytes(chance.choice((0, 1, 15, 16, 160, 1200)))


def rtcp_packet(chance: Random, ssrc: int) -> bytes:
    words = chance.choice((0, 5, 11, 60))
    return struct.pack("!BBHL", 0x80, 201, words + 1, ssrc) + chance.randbytes(4 * words)


def rtp_packets(chance: Random) -> list[bytes]:
    """Of two streams, with losses, late ones, repeats and wraps."""
    packets = []
    for ssrc in SSRCS:
        number = 65_000
        for _ in range(PACKETS):
            number += max(step(chance), -1000)
            packets.append(rtp_packet(chance, number, ssrc))
    return packets


def arrived(packets: list[bytes], chance: Random) -> Iterator[bytes]:
    """Some twice, some late, some damaged, some cut short."""
    late: list[bytes] = []
    for packet in packets:
        yield packet
        chosen = chance.random()
        if chosen < 0.1:
            late.append(packet)
        elif chosen < 0.2:
            changed = bytearray(packet)
            changed[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
            yield bytes(changed)
        elif chosen < 0.25:
            yield packet[: chance.randrange(1, len(packet))]
        if late and chance.random() < 0.05:
            yield late.pop(chance.randrange(len(late)))


def test_both_protect_alike(ask: Ask, name: str) -> None:
    libsrtp = Libsrtp(name)
    asked = [f"protect {packet.hex()}" for packet in rtp_packets(seeded(1))]
    native = ask([libsrtp.question, *asked])[1:]
    expected = [libsrtp.answer(question) for question in asked]
    assert native == expected
    assert REFUSED in expected


def test_libsrtp_opens_reports_of_the_native_plane(ask: Ask, name: str) -> None:
    libsrtp, chance = Libsrtp(name), seeded(2)
    packets = [rtcp_packet(chance, chance.choice(SSRCS)) for _ in range(PACKETS)]
    native = ask([libsrtp.question, *(f"protect_rtcp {packet.hex()}" for packet in packets)])[1:]
    opened = [libsrtp.answer(f"unprotect_rtcp {text}") for text in native]
    assert opened == [packet.hex() for packet in packets]


@pytest.mark.parametrize("kind", ["", "_rtcp"])
def test_both_open_and_refuse_the_same(ask: Ask, name: str, kind: str) -> None:
    libsrtp, chance = Libsrtp(name), seeded(3)
    packets = rtp_packets(chance)
    if kind:
        packets = [rtcp_packet(chance, chance.choice(SSRCS)) for _ in range(2 * PACKETS)]
    wire = [libsrtp.answer(f"protect{kind} {packet.hex()}") for packet in packets]
    sent = [bytes.fromhex(text) for text in wire if text != REFUSED]
    asked = [f"unprotect{kind} {packet.hex()}" for packet in arrived(sent, chance)]
    native = ask([libsrtp.question, *asked])[1:]
    expected = [libsrtp.answer(question) for question in asked]
    assert native == expected
    assert expected.count(REFUSED) > PACKETS / 10

"""Packets are protected as pylibsrtp does it itself, in one buffer for all."""

from __future__ import annotations

import secrets

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from callfleet_engine.media.rtp import HEADER
from callfleet_engine.media.srtp import MAX_DATAGRAM, Incoming, Outgoing

PROFILES = {
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, 16),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16),
    "AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
}
REPORT = bytes.fromhex("80c90001") + (7).to_bytes(4, "big")


def session(key: bytes, profile: int, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = 1024
    return Session(policy)


class Pair:
    """Both directions with one key, and what pylibsrtp makes and takes with it."""

    def __init__(self, name: str = "AEAD_AES_256_GCM") -> None:
        profile, size, self.tag = PROFILES[name]
        key = secrets.token_bytes(size)
        out, into = Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND
        self.wire: list[bytes] = []
        self.up = True
        self.outgoing = Outgoing(self.send)
        self.outgoing.use(session(key, profile, out))
        self.incoming = Incoming(session(key, profile, into))
        self.theirs_out = session(key, profile, out)
        self.theirs_in = session(key, profile, into)

    def send(self, data: memoryview) -> bool:
        self.wire.append(bytes(data))
        return self.up


def packet(sequence: int, payload: bytes) -> bytes:
    return HEADER.pack(0x80, 97, sequence, 90, 7) + payload


@pytest.mark.parametrize("name", PROFILES)
@given(payloads=st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_it_is_what_pylibsrtp_makes_and_takes(name: str, payloads: list[bytes]) -> None:
    pair = Pair(name)
    for sequence, payload in enumerate(payloads):
        plain = packet(sequence, payload)
        assert pair.outgoing.rtp(plain)
        assert pair.wire[-1] == pair.theirs_out.protect(plain)
        assert pair.theirs_in.unprotect(pair.wire[-1]) == plain
        assert pair.incoming.rtp(pair.wire[-1]) == plain
        assert pair.outgoing.rtcp(REPORT)
        assert pair.wire[-1] == pair.theirs_out.protect_rtcp(REPORT)
        assert pair.incoming.rtcp(pair.wire[-1]) == REPORT


def test_two_sessions_share_the_buffer() -> None:
    one, other = Pair(), Pair()
    long, short = packet(1, bytes(1000)), packet(1, b"short")
    assert one.outgoing.rtp(long)
    assert other.outgoing.rtp(short)
    assert one.incoming.rtp(one.wire[0]) == long
    assert other.incoming.rtp(other.wire[0]) == short
    assert one.incoming.rtp(other.wire[0]) is None


def test_what_is_forged_replayed_or_damaged_is_none() -> None:
    pair = Pair()
    pair.outgoing.rtp(packet(1, b"payload"))
    pair.outgoing.rtcp(REPORT)
    protected, report = pair.wire
    damaged = protected[:-1] + bytes([protected[-1] ^ 1])
    assert pair.incoming.rtp(damaged) is None
    assert pair.incoming.rtp(protected) is not None
    assert pair.incoming.rtp(protected) is None
    assert pair.incoming.rtcp(report[:-1] + bytes([report[-1] ^ 1])) is None
    assert pair.incoming.rtcp(report) == REPORT
    assert pair.incoming.rtcp(report) is None
    assert pair.incoming.rtp(packet(2, b"plain")) is None


@given(st.binary(min_size=12, max_size=64))
def test_any_bytes_are_none(data: bytes) -> None:
    pair = Pair()
    assert pair.incoming.rtp(data) is None
    assert pair.incoming.rtcp(data) is None


def test_the_largest_datagram_fits() -> None:
    """Which pylibsrtp does not take."""
    pair = Pair()
    largest = packet(1, bytes(MAX_DATAGRAM - HEADER.size))
    assert pair.outgoing.rtp(largest)
    assert len(pair.wire[0]) == MAX_DATAGRAM + pair.tag
    with pytest.raises(ValueError, match="too long"):
        pair.theirs_out.protect(largest)
    whole = packet(2, bytes(MAX_DATAGRAM - HEADER.size - pair.tag))
    assert pair.outgoing.rtp(whole)
    assert pair.incoming.rtp(pair.wire[-1]) == whole


def test_without_keys_or_an_address_nothing_goes_out() -> None:
    pair = Pair()
    nowhere = Outgoing(pair.send)
    assert not nowhere.rtp(packet(1, b""))
    assert not nowhere.rtcp(REPORT)
    assert pair.wire == []
    pair.up = False
    assert not pair.outgoing.rtp(packet(1, b""))
    assert not pair.outgoing.rtcp(REPORT)


def test_pylibsrtp_has_what_is_leaned_on() -> None:
    made = Pair().theirs_out
    assert isinstance(made, pylibsrtp.Session)
    assert made._srtp[0]

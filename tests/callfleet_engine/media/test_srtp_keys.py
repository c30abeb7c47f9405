"""SRTP keys as a plane that protects by itself is told them."""

from __future__ import annotations

import pytest
from aiortc.rtcdtlstransport import SRTP_PROFILES, SRTPProtectionProfile

from callfleet_engine.media.srtp_keys import exported


class Handshake:
    """What pyOpenSSL says after one."""

    def __init__(self, profile: bytes) -> None:
        self._profile = profile

    def get_selected_srtp_profile(self) -> bytes:
        return self._profile

    def export_keying_material(self, label: bytes, length: int) -> bytes:
        assert label == b"EXTRACTOR-dtls_srtp"
        return bytes(range(length))


@pytest.mark.parametrize("profile", SRTP_PROFILES, ids=lambda p: p.openssl_profile.decode())
def test_each_side_receives_with_what_the_other_sends(profile: SRTPProtectionProfile) -> None:
    handshake = Handshake(profile.openssl_profile)
    server = exported(handshake, SRTP_PROFILES, server=True)
    client = exported(handshake, SRTP_PROFILES, server=False)
    assert server is not None
    assert client is not None
    assert server.profile == profile.openssl_profile.decode()
    assert (server.inbound, server.outbound) == (client.outbound, client.inbound)
    key, salt = server.inbound
    assert (len(key), len(salt)) == (profile.key_length, profile.salt_length)
    material = handshake.export_keying_material(
        b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
    )
    assert key + salt == profile.get_key_and_salt(material, 0)


def test_without_a_profile_there_are_none() -> None:
    assert exported(Handshake(b""), SRTP_PROFILES, server=True) is None

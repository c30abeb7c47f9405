from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.nonces import NONCE_LENGTH, NONCE_LIFETIME, Nonces, SecurityFeature

CLIENT = ("198.51.100.7", 40000)
NOW = 1000.0
FEATURES = SecurityFeature.PASSWORD_ALGORITHMS


def nonces(secret: bytes = b"n" * 32, features: SecurityFeature = FEATURES) -> Nonces:
    return Nonces(secret, features)


def test_a_nonce_says_which_security_features_there_are() -> None:
    nonce = nonces().issue(CLIENT, NOW)

    assert nonce.startswith(b"obMatJos2" + base64.b64encode(b"\x80\0\0"))
    assert len(nonce) == NONCE_LENGTH
    both = nonces(features=FEATURES | SecurityFeature.USERNAME_ANONYMITY)
    assert both.issue(CLIENT, NOW).startswith(b"obMatJos2" + base64.b64encode(b"\xc0\0\0"))


@pytest.mark.parametrize(
    ("client", "now"),
    [
        (("198.51.100.8", 40000), NOW),
        (("198.51.100.7", 40001), NOW),
        (CLIENT, NOW - 2),
        (CLIENT, NOW + NONCE_LIFETIME + 1),
    ],
)
def test_a_nonce_is_bound_to_address_and_time(client: tuple[str, int], now: float) -> None:
    nonce = nonces().issue(CLIENT, NOW)

    assert nonces().is_fresh(nonce, CLIENT, NOW)
    assert nonces().is_fresh(nonce, CLIENT, NOW + NONCE_LIFETIME)
    assert not nonces().is_fresh(nonce, client, now)
    assert not nonces(b"m" * 32).is_fresh(nonce, CLIENT, NOW)


def test_features_cannot_be_struck_out_of_a_nonce() -> None:
    nonce = nonces().issue(CLIENT, NOW)
    bare = nonces(features=SecurityFeature(0))

    assert not nonces().is_fresh(bare.issue(CLIENT, NOW), CLIENT, NOW)
    assert not nonces().is_fresh(nonce.replace(b"gAAA", b"AAAA"), CLIENT, NOW)
    assert not nonces().is_fresh(nonce[13:], CLIENT, NOW)


@given(st.one_of(st.binary(max_size=60), st.binary(min_size=32, max_size=32)))
def test_nobody_guesses_a_nonce(nonce: bytes) -> None:
    assert not nonces().is_fresh(nonce, CLIENT, NOW)


@given(st.integers(0, NONCE_LENGTH - 1), st.integers(1, 255))
def test_a_changed_nonce_is_another(position: int, flip: int) -> None:
    nonce = bytearray(nonces().issue(CLIENT, NOW))
    nonce[position] ^= flip

    assert not nonces().is_fresh(bytes(nonce), CLIENT, NOW)

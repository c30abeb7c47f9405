"""Nonces without state, bound to a client's address and to time (RFC 8489 section 9.2).

A nonce is the nonce cookie, the security features that this server has, and the second it was
issued, authenticated together: a nonce whose features somebody has struck out is no nonce of ours.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from enum import IntFlag

from callfleet_relay.message import Address

NONCE_LIFETIME = 3600.0
"""Seconds; RFC 8656 section 5 asks for a new one at least every hour."""
NONCE_COOKIE = b"obMatJos2"
"""Begins every nonce that says which security features its server has."""
NONCE_LENGTH = 32

_TIME_LENGTH = 4
_MAC_LENGTH = 10
"""80 bits: a nonce proves nothing but that its holder was sent it."""
_FEATURES_LENGTH = 4


class SecurityFeature(IntFlag):
    """Bits of the set in a nonce, the first one leftmost of 24 (RFC 8489 section 18.1)."""

    PASSWORD_ALGORITHMS = 1 << 23
    USERNAME_ANONYMITY = 1 << 22


class Nonces:
    """Makes and checks nonces, holding none of them."""

    def __init__(self, secret: bytes, features: SecurityFeature) -> None:
        self._secret = secret
        self._prefix = NONCE_COOKIE + base64.b64encode(features.to_bytes(3, "big"))

    def issue(self, client: Address, now: float) -> bytes:
        """A nonce for `client` at monotonic second `now`: 32 characters."""
        return self._nonce(int(now), client)

    def is_fresh(self, nonce: bytes, client: Address, now: float) -> bool:
        """Whether `nonce` was issued to `client` within the last hour."""
        issued = _issued(nonce)
        if issued is None or not hmac.compare_digest(nonce, self._nonce(issued, client)):
            return False
        return 0 <= int(now) - issued <= NONCE_LIFETIME

    def _nonce(self, issued: int, client: Address) -> bytes:
        time = issued.to_bytes(_TIME_LENGTH, "big")
        text = self._prefix + time + f"{client[1]}|{client[0]}".encode()
        mac = hmac.digest(self._secret, text, "sha256")[:_MAC_LENGTH]
        return self._prefix + base64.b64encode(time + mac).rstrip(b"=")


def _issued(nonce: bytes) -> int | None:
    if len(nonce) != NONCE_LENGTH:
        return None
    try:
        tail = nonce[len(NONCE_COOKIE) + _FEATURES_LENGTH :]
        return int.from_bytes(base64.b64decode(tail + b"=", validate=True)[:_TIME_LENGTH], "big")
    except binascii.Error:
        return None

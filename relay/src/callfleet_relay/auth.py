"""Long-term credentials in TURN REST form, and nonces without state (RFC 8489 section 9.2).

The forms of usernames and how keys are derived: "TURN credentials" in the contracts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from callfleet_relay.message import Address, Attribute, Message

NONCE_LIFETIME = 3600.0
"""Seconds; RFC 8656 section 5 asks for a new one at least every hour."""
MIN_SECRET_LENGTH = 32
MAX_SECRETS = 64
CLOCK_SKEW = 60.0
"""Seconds by which the issuer's clock may be ahead when the longest lifetime is checked."""
MAX_USERNAME_LENGTH = 508
"""Bytes (RFC 8489 section 14.3)."""

_CONSUMER_FORM = re.compile(r"([0-9]{1,12}):([0-9a-f]{8}):([^:/]+/[^:/]+):(.+)", re.DOTALL)
_PLAIN_FORM = re.compile(r"([0-9]{1,12}):(.+)", re.DOTALL)
_NONCE_MAC_LENGTH = 14


class Instant(NamedTuple):
    """One moment on two clocks, both in seconds.

    Timers follow the monotonic one, which never jumps; expiry dates of credentials are Unix time.
    """

    monotonic: float
    unix: float


class Refusal(Enum):
    """Why a request is not authenticated."""

    CHALLENGED = "challenged"
    INCOMPLETE = "bad_request"
    STALE_NONCE = "stale_nonce"
    UNAUTHORIZED = "unauthorized"
    EXPIRED = "expired"


class AuthenticationError(Exception):
    """The request carries no valid credentials."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request, proved by MESSAGE-INTEGRITY."""

    username: str
    user: str
    """The username without its expiry and key: quotas and figures go by it."""
    key: bytes
    """MD5 of username, realm and password; signs replies (RFC 8489 section 9.2.2)."""
    expires: float
    """Unix seconds."""


class InvalidSecretsError(ValueError):
    """The secret file cannot be used; the message says what to do."""


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Secrets of a file, one a line, newest first. Raises `InvalidSecretsError`."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    found = tuple(line.encode() for line in lines if line)
    if not found:
        raise InvalidSecretsError("it holds no secret: write one a line, newest first")
    if len(found) > MAX_SECRETS:
        raise InvalidSecretsError(f"it holds {len(found)} secrets: keep at most {MAX_SECRETS}")
    for number, secret in enumerate(found, start=1):
        if len(secret) < MIN_SECRET_LENGTH:
            raise InvalidSecretsError(
                f"secret {number} has {len(secret)} characters: use at least {MIN_SECRET_LENGTH}, "
                "such as the output of `openssl rand -hex 32`"
            )
    return found


def rest_password(key: bytes, username: str) -> str:
    """Password of a TURN REST username."""
    return _base64_hmac(key, username.encode(), "sha1").decode()


def consumer_key(master: bytes, consumer: str) -> bytes:
    """Signing key of one consumer, `NAMESPACE/NAME`."""
    return _base64_hmac(master, f"callfleet-turn:{consumer}".encode(), "sha256")


def key_id(master: bytes) -> str:
    """Names the master that a username's key comes from."""
    return hmac.digest(master, b"callfleet-keyid", "sha256").hex()[:8]


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Key of MESSAGE-INTEGRITY (RFC 8489 section 9.2.2)."""
    text = f"{username}:{realm}:{password}".encode()
    return hashlib.md5(text, usedforsecurity=False).digest()


def _base64_hmac(key: bytes, text: bytes, digest: str) -> bytes:
    return base64.b64encode(hmac.digest(key, text, digest))


class Nonces:
    """Makes and checks nonces bound to a client's address and to time, holding none of them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, client: Address, now: Instant) -> bytes:
        """A nonce for `client`: 24 characters."""
        issued = int(now.monotonic).to_bytes(4, "big")
        return base64.b64encode(issued + self._mac(issued, client))

    def is_fresh(self, nonce: bytes, client: Address, now: Instant) -> bool:
        """Whether `nonce` was issued to `client` within the last hour."""
        try:
            decoded = base64.b64decode(nonce, validate=True)
        except binascii.Error:
            return False
        issued, mac = decoded[:4], decoded[4:]
        if not hmac.compare_digest(mac, self._mac(issued, client)):
            return False
        age = int(now.monotonic) - int.from_bytes(issued, "big")
        return 0 <= age <= NONCE_LIFETIME

    def _mac(self, issued: bytes, client: Address) -> bytes:
        text = issued + f"{client[1]}|{client[0]}".encode()
        return hmac.digest(self._secret, text, "sha256")[:_NONCE_MAC_LENGTH]


class Authenticator:
    """Proves who sent a request."""

    def __init__(
        self, *, realm: str, secrets: tuple[bytes, ...], nonce_secret: bytes, max_lifetime: float
    ) -> None:
        """`max_lifetime`: seconds a credential may be valid for at most."""
        self.realm = realm
        self._nonces = Nonces(nonce_secret)
        self._max_lifetime = max_lifetime
        self._secrets: tuple[bytes, ...] = ()
        self._by_key_id: dict[str, list[bytes]] = {}
        self.replace_secrets(secrets)

    def replace_secrets(self, secrets: tuple[bytes, ...]) -> None:
        """Verify new credentials with these. Allocations that exist keep the key they have."""
        self._secrets = secrets
        self._by_key_id = {}
        for secret in secrets:
            self._by_key_id.setdefault(key_id(secret), []).append(secret)

    def challenge(self, client: Address, now: Instant) -> tuple[tuple[int, bytes], ...]:
        """REALM and NONCE that a client needs to ask again."""
        return (
            (Attribute.REALM, self.realm.encode()),
            (Attribute.NONCE, self._nonces.issue(client, now)),
        )

    def authenticate(
        self, request: Message, client: Address, now: Instant, known: Principal | None = None
    ) -> Principal:
        """Check a request in the order of RFC 8489 section 9.2.4.

        `known` holds the 5-tuple's allocation: its key goes on verifying until it expires, so that
        a change of secrets ends no session. Raises `AuthenticationError`.
        """
        if request.first(Attribute.MESSAGE_INTEGRITY) is None:
            raise AuthenticationError(Refusal.CHALLENGED)
        username = request.first(Attribute.USERNAME)
        nonce = request.first(Attribute.NONCE)
        if username is None or nonce is None or request.first(Attribute.REALM) is None:
            raise AuthenticationError(Refusal.INCOMPLETE)
        if not self._nonces.is_fresh(nonce, client, now):
            raise AuthenticationError(Refusal.STALE_NONCE)
        principal = self._verify(request, username, known)
        if principal.expires > now.unix + self._max_lifetime + CLOCK_SKEW:
            raise AuthenticationError(Refusal.UNAUTHORIZED)
        if principal.expires <= now.unix:
            raise AuthenticationError(Refusal.EXPIRED)
        return principal

    def _verify(self, request: Message, raw: bytes, known: Principal | None) -> Principal:
        username = _text(raw)
        if known is not None and known.username == username:
            candidates: Iterable[Principal] = (known,)
        else:
            candidates = self._candidates(username)
        for candidate in candidates:
            if request.has_integrity(candidate.key):
                return candidate
        raise AuthenticationError(Refusal.UNAUTHORIZED)

    def _candidates(self, username: str) -> Iterable[Principal]:
        consumer = _CONSUMER_FORM.fullmatch(username)
        if consumer:
            expires, name, namespaced, participant = consumer.groups()
            for master in self._by_key_id.get(name, ()):
                key = consumer_key(master, namespaced)
                yield self._principal(username, f"{namespaced}:{participant}", key, expires)
        plain = _PLAIN_FORM.fullmatch(username)
        if plain:
            expires, user = plain.groups()
            for master in self._secrets:
                yield self._principal(username, user, master, expires)

    def _principal(self, username: str, user: str, key: bytes, expires: str) -> Principal:
        password = rest_password(key, username)
        return Principal(
            username=username,
            user=user,
            key=long_term_key(username, self.realm, password),
            expires=float(expires),
        )


def _text(raw: bytes) -> str:
    if len(raw) > MAX_USERNAME_LENGTH:
        raise AuthenticationError(Refusal.UNAUTHORIZED)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise AuthenticationError(Refusal.UNAUTHORIZED) from error

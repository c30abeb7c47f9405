"""Proves who sent a request: the long-term credential mechanism of RFC 8489 section 9.2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from callfleet_relay.credentials import (
    MAX_USERNAME_LENGTH,
    NEVER,
    LongTermUsers,
    PasswordAlgorithm,
    Principal,
    RestSecrets,
    userhash,
)
from callfleet_relay.message import Address, Attribute, IntegrityKey, Message
from callfleet_relay.nonces import Nonces, SecurityFeature

CLOCK_SKEW = 60.0
"""Seconds by which the issuer's clock may be ahead when the longest lifetime is checked."""

_PASSWORD_ALGORITHMS = b"".join(each.to_bytes(2, "big") + bytes(2) for each in PasswordAlgorithm)
"""Both algorithms without parameters, the preferred one first (RFC 8489 section 14.11)."""
_NOBODY = {each: bytes(16) for each in PasswordAlgorithm}


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
class Authenticated:
    """Who sent a request, proved by its integrity, and what signs the answer."""

    principal: Principal
    key: IntegrityKey


class Authenticator:
    """Knows all credentials, and challenges who shows none."""

    def __init__(
        self,
        *,
        realm: str,
        secrets: tuple[bytes, ...],
        nonce_secret: bytes,
        max_lifetime: float,
        users: LongTermUsers | None = None,
        anonymity: bool = False,
    ) -> None:
        """`max_lifetime`: seconds a REST credential may be valid for at most.

        `anonymity`: ask clients to send USERHASH. Only where there are no secrets and never will
        be: a REST username cannot be found by its hash, as nobody wrote it down.
        """
        self.realm = realm
        features = SecurityFeature.PASSWORD_ALGORITHMS
        if anonymity:
            features |= SecurityFeature.USERNAME_ANONYMITY
        self._nonces = Nonces(nonce_secret, features)
        self._max_lifetime = max_lifetime
        self._rest = RestSecrets(secrets, realm)
        self._users = users or LongTermUsers({}, realm)

    def replace_secrets(self, secrets: tuple[bytes, ...]) -> None:
        """Verify new credentials with these. Allocations that exist keep the key they have."""
        self._rest = RestSecrets(secrets, self.realm)

    def replace_users(self, users: LongTermUsers) -> None:
        """Know these and no others; who is gone can refresh nothing any more."""
        self._users = users

    def challenge(self, client: Address, now: Instant) -> tuple[tuple[int, bytes], ...]:
        """REALM, NONCE and PASSWORD-ALGORITHMS that a client needs to ask again."""
        return (
            (Attribute.REALM, self.realm.encode()),
            (Attribute.NONCE, self._nonces.issue(client, now.monotonic)),
            (Attribute.PASSWORD_ALGORITHMS, _PASSWORD_ALGORITHMS),
        )

    def authenticate(
        self,
        request: Message,
        clients: Sequence[Address],
        now: Instant,
        known: Principal | None = None,
    ) -> Authenticated:
        """Check a request as RFC 8489 section 9.2.4 does, but for its nonce, which comes first.

        So only who can receive at its address makes this relay look for a user. `clients`: the
        sender's address, and others whose nonces it may use. `known` holds the allocation: the
        key of a REST credential goes on verifying until it expires, so that a change of secrets
        ends no session. Raises `AuthenticationError`.
        """
        if not request.is_signed:
            raise AuthenticationError(Refusal.CHALLENGED)
        nonce = request.first(Attribute.NONCE)
        named = [request.first(kind) for kind in (Attribute.USERNAME, Attribute.USERHASH)]
        if nonce is None or request.first(Attribute.REALM) is None or named.count(None) != 1:
            raise AuthenticationError(Refusal.INCOMPLETE)
        algorithm = _algorithm(request)
        if not any(self._nonces.is_fresh(nonce, each, now.monotonic) for each in clients):
            raise AuthenticationError(Refusal.STALE_NONCE)
        principal = self._verify(request, algorithm or PasswordAlgorithm.MD5, known)
        if principal.expires != NEVER:
            self._check_expiry(principal, now)
        key = principal.keys[algorithm or PasswordAlgorithm.MD5]
        return Authenticated(principal, IntegrityKey(key, sha256=algorithm is not None))

    def _check_expiry(self, principal: Principal, now: Instant) -> None:
        if principal.expires > now.unix + self._max_lifetime + CLOCK_SKEW:
            raise AuthenticationError(Refusal.UNAUTHORIZED)
        if principal.expires <= now.unix:
            raise AuthenticationError(Refusal.EXPIRED)

    def _verify(
        self, request: Message, algorithm: PasswordAlgorithm, known: Principal | None
    ) -> Principal:
        tried = False
        for candidate in self._candidates(request, known):
            key = candidate.keys.get(algorithm)
            if key is not None:
                tried = True
                if request.has_integrity(key):
                    return candidate
        if not tried:
            # Whoever asks for nobody waits as long as who has the wrong password.
            request.has_integrity(_NOBODY[algorithm])
        raise AuthenticationError(Refusal.UNAUTHORIZED)

    def _candidates(self, request: Message, known: Principal | None) -> Iterable[Principal]:
        is_rest = known is not None and known.expires != NEVER
        hashed = request.first(Attribute.USERHASH)
        if hashed is not None:
            if known is not None and is_rest and userhash(known.username, self.realm) == hashed:
                return (known,)
            user = self._users.hashed(hashed)
            return () if user is None else (user,)
        username = _text(request.first(Attribute.USERNAME) or b"")
        if known is not None and is_rest and known.username == username:
            return (known,)
        user = self._users.named(username)
        return self._rest.candidates(username) if user is None else (user,)


def _algorithm(request: Message) -> PasswordAlgorithm | None:
    """The algorithm that a request names; None where it knows of none, which means MD5.

    Both attributes or neither, and the list as this server sent it: who has struck the better
    algorithm out of the challenge is found out here (RFC 8489 section 9.2.4).
    """
    chosen = request.first(Attribute.PASSWORD_ALGORITHM)
    offered = request.first(Attribute.PASSWORD_ALGORITHMS)
    if chosen is None and offered is None:
        return None
    for algorithm in PasswordAlgorithm:
        if chosen == algorithm.to_bytes(2, "big") + bytes(2) and offered == _PASSWORD_ALGORITHMS:
            return algorithm
    raise AuthenticationError(Refusal.INCOMPLETE)


def _text(raw: bytes) -> str:
    if len(raw) > MAX_USERNAME_LENGTH:
        raise AuthenticationError(Refusal.UNAUTHORIZED)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise AuthenticationError(Refusal.UNAUTHORIZED) from error

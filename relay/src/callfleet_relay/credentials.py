"""Who may use the relay: TURN REST credentials and long-term users (RFC 8489 section 9.2).

The forms of REST usernames and how keys are derived: "TURN credentials" in the contracts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

MIN_SECRET_LENGTH = 32
MAX_SECRETS = 64
MAX_USERS = 20_000
MAX_USERNAME_LENGTH = 508
"""Bytes (RFC 8489 section 14.3)."""
NEVER = float("inf")

_CONSUMER_FORM = re.compile(r"([0-9]{1,12}):([0-9a-f]{8}):([^:/]+/[^:/]+):(.+)", re.DOTALL)
_PLAIN_FORM = re.compile(r"([0-9]{1,12}):(.+)", re.DOTALL)
_KEY_FORM = re.compile(r"([^:]+):([0-9a-fA-F]{32}|[0-9a-fA-F]{64})")


class PasswordAlgorithm(IntEnum):
    """How a key is made of a password, the better one first (RFC 8489 section 18.5)."""

    SHA256 = 2
    MD5 = 1


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has credentials."""

    username: str
    user: str
    """The username without its expiry and key: quotas and figures go by it."""
    keys: Mapping[PasswordAlgorithm, bytes]
    """What MESSAGE-INTEGRITY is made with, for each algorithm of which the relay has the key."""
    expires: float = NEVER
    """Unix seconds."""


class InvalidSecretsError(ValueError):
    """The secret file cannot be used; the message says what to do."""


class InvalidUsersError(ValueError):
    """The user file cannot be used; the message says what to do."""


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


def long_term_key(
    username: str,
    realm: str,
    password: str,
    algorithm: PasswordAlgorithm = PasswordAlgorithm.MD5,
) -> bytes:
    """Key of the integrity attributes (RFC 8489 sections 9.2.2 and 18.5.1)."""
    text = f"{username}:{realm}:{password}".encode()
    if algorithm is PasswordAlgorithm.SHA256:
        return hashlib.sha256(text).digest()
    return hashlib.md5(text, usedforsecurity=False).digest()


def userhash(username: str, realm: str) -> bytes:
    """USERHASH of a user (RFC 8489 section 14.4)."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()


def _base64_hmac(key: bytes, text: bytes, digest: str) -> bytes:
    return base64.b64encode(hmac.digest(key, text, digest))


class RestSecrets:
    """Makes of a username who it would be, for each secret that may have signed it."""

    def __init__(self, secrets: tuple[bytes, ...], realm: str) -> None:
        self._realm = realm
        self._secrets = secrets
        self._by_key_id: dict[str, list[bytes]] = {}
        for secret in secrets:
            self._by_key_id.setdefault(key_id(secret), []).append(secret)

    def candidates(self, username: str) -> Iterator[Principal]:
        """One for each secret; none where the username has no form of the contract."""
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
        keys = {each: long_term_key(username, self._realm, password, each) for each in _ALGORITHMS}
        return Principal(username=username, user=user, keys=keys, expires=float(expires))


class LongTermUsers:
    """The users of a file, found by their name or by its hash."""

    def __init__(self, users: Mapping[str, Principal], realm: str) -> None:
        self._users = users
        self._by_hash = {userhash(name, realm): user for name, user in users.items()}

    def __len__(self) -> int:
        return len(self._users)

    def named(self, username: str) -> Principal | None:
        """The user of this name."""
        return self._users.get(username)

    def hashed(self, value: bytes) -> Principal | None:
        """The user whose USERHASH this is."""
        return self._by_hash.get(value)


_ALGORITHMS = tuple(PasswordAlgorithm)


def read_users(text: str, realm: str) -> LongTermUsers:
    """Users of a file: `USER:PASSWORD` or `USER:REALM:KEY` a line, `#` begins a comment.

    KEY is what `turnadmin -k` prints, the MD5 of `USER:REALM:PASSWORD` in hex, or its SHA-256; a
    user may have a line of each. Passwords are prepared as RFC 8265 section 4.2 has it. Raises
    `InvalidUsersError`.
    """
    users: dict[str, dict[PasswordAlgorithm, bytes]] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r")
        if not line or line.startswith("#"):
            continue
        name, separator, rest = line.partition(":")
        if not separator or not name or not rest:
            raise InvalidUsersError(f"line {number}: write USER:PASSWORD or USER:REALM:KEY")
        if len(name.encode()) > MAX_USERNAME_LENGTH:
            raise InvalidUsersError(
                f"line {number}: the name is longer than {MAX_USERNAME_LENGTH} bytes"
            )
        keys = _keys_of(number, name, rest, realm)
        known = users.setdefault(name, {})
        if known.keys() & keys.keys():
            raise InvalidUsersError(f"line {number}: {name!r} is there already: keep one line")
        known.update(keys)
        if len(users) > MAX_USERS:
            raise InvalidUsersError(f"it holds more than {MAX_USERS} users")
    if not users:
        raise InvalidUsersError("it holds no user: write USER:PASSWORD, one a line")
    principals = {name: Principal(name, name, keys) for name, keys in users.items()}
    return LongTermUsers(principals, realm)


def _keys_of(number: int, name: str, rest: str, realm: str) -> dict[PasswordAlgorithm, bytes]:
    """Keys of a line: of its key, or made of its password."""
    keyed = _KEY_FORM.fullmatch(rest)
    if keyed is None:
        password = _opaque_string(number, rest)
        return {each: long_term_key(name, realm, password, each) for each in _ALGORITHMS}
    of_realm, key = keyed.groups()
    if of_realm != realm:
        raise InvalidUsersError(
            f"line {number}: its key is made for the realm {of_realm!r} and --realm is {realm!r}: "
            "make a key for this realm, or write the password"
        )
    algorithm = PasswordAlgorithm.MD5 if len(key) == 32 else PasswordAlgorithm.SHA256
    return {algorithm: bytes.fromhex(key)}


def _opaque_string(number: int, password: str) -> str:
    """The profile's rules that a password typed on a keyboard can meet: spaces, controls, NFC."""
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in password)
    prepared = unicodedata.normalize("NFC", spaced)
    if any(unicodedata.category(c) == "Cc" for c in prepared):
        raise InvalidUsersError(f"line {number}: the password has a control character: remove it")
    return prepared

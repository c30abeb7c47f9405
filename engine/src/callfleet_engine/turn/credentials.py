"""TURN credentials, as in docs/reference/contracts.md and draft-uberti-behave-turn-rest-00."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

SECRET_LENGTH = 32
"""Fewest characters of a master secret or key."""

_KEY_LINE = re.compile(r"(?P<id>[0-9a-f]{8}) (?P<key>\S+)")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client presents to a relay until `expires` (Unix seconds)."""

    username: str
    password: str
    expires: int


@dataclass(frozen=True, slots=True)
class ConsumerKey:
    """A pool's key for this consumer, derived by the operator from the pool's master secret."""

    key_id: str
    key: str


@dataclass(frozen=True, slots=True)
class ConsumerSigner:
    """Signs for one pool in the name of this engine's CallCluster."""

    key: ConsumerKey
    consumer: str
    """NAMESPACE/NAME."""

    def sign(self, participant: str, expires: int) -> Credential:
        """`EXPIRY:KEYID:NAMESPACE/NAME:PARTICIPANT`, signed with the consumer's key."""
        username = f"{expires}:{self.key.key_id}:{self.consumer}:{participant}"
        return Credential(username, _password(self.key.key, username), expires)


@dataclass(frozen=True, slots=True)
class PlainSigner:
    """Signs with a relay's own secret, without any operator."""

    secret: str

    def sign(self, participant: str, expires: int) -> Credential:
        """`EXPIRY:USER`, as coturn's use-auth-secret takes it."""
        username = f"{expires}:{participant}"
        return Credential(username, _password(self.secret, username), expires)


Signer = ConsumerSigner | PlainSigner


def read_keys(directory: Path) -> dict[str, ConsumerKey]:
    """The newest key of each pool, by `NAMESPACE/NAME` of the pool.

    Raises ValueError naming the file, OSError.
    """
    keys = {}
    for file in sorted(directory.iterdir()):
        namespace, dot, name = file.name.partition(".")
        if file.name.startswith(".") or not file.is_file():
            continue
        if not (namespace and dot and name):
            raise ValueError(f"{file}: the name must be POOLNAMESPACE.POOLNAME")
        keys[f"{namespace}/{name}"] = _read_key(file)
    return keys


def read_secret(path: Path) -> str:
    """The newest of a relay's master secrets: the file's first line.

    Raises ValueError naming the file, OSError.
    """
    secret = _first_line(path)
    if len(secret) < SECRET_LENGTH:
        raise ValueError(
            f"{path}: the first line has {len(secret)} characters; a secret needs at least "
            f"{SECRET_LENGTH}. Make one with: openssl rand -base64 32"
        )
    return secret


def _read_key(file: Path) -> ConsumerKey:
    match = _KEY_LINE.fullmatch(_first_line(file))
    if match is None:
        raise ValueError(f"{file}: the first line must be KEYID KEY, with 8 hex digits as KEYID")
    return ConsumerKey(match["id"], match["key"])


def _first_line(path: Path) -> str:
    try:
        return path.read_text("ascii").partition("\n")[0].removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not ASCII text") from error


def _password(key: str, username: str) -> str:
    digest = hmac.new(key.encode("ascii"), username.encode("utf-8"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")

"""Keys of join tokens: a JWK Set (RFC 7517) of `oct` (HS256) and Ed25519 (EdDSA) keys.

Newest first: the first key that can sign does, all verify. Errors never quote key material.
"""

# ruff: noqa: N818 (errors are named for what is the case)
from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LARGEST_FILE: Final = 64 * 1024
MOST_KEYS: Final = 100
LONGEST_KID: Final = 128
SHORTEST_SECRET: Final = 32
"""Bytes; RFC 7518, 3.2: at least as long as the hash."""

_REMEDY: Final = "`callfleet token keys` makes a new file."


class KeysFileInvalid(Exception):
    """The keys file cannot be used; the text says what to do."""

    def __init__(self, message: str, remedy: str = _REMEDY) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class Algorithm(StrEnum):
    """How tokens are signed."""

    HS256 = "HS256"
    EDDSA = "EdDSA"


@dataclass(frozen=True, slots=True)
class JoinKey:
    """One key, bound to its algorithm."""

    kid: str
    algorithm: Algorithm
    public: bytes | Ed25519PublicKey = field(repr=False)
    """What verifies."""
    private: bytes | Ed25519PrivateKey | None = field(repr=False)
    """What signs; None: this key only verifies."""


def read_keys(path: Path) -> dict[str, JoinKey]:
    """The keys of a file by their `kid`, in the file's order; at least one.

    Raises:
        KeysFileInvalid: not readable, or no JWK Set that this release can use.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as failure:
        raise KeysFileInvalid(
            f"The keys file {path} cannot be read ({failure.strerror}).",
            f"Name another with --keys-file. {_REMEDY}",
        ) from failure
    if len(content) > LARGEST_FILE:
        raise KeysFileInvalid(f"The keys file {path} is larger than {LARGEST_FILE} bytes.")
    try:
        return parse_keys(content)
    except KeysFileInvalid as flaw:
        raise KeysFileInvalid(f"The keys file {path}: {flaw.message}", flaw.remedy) from None


def parse_keys(content: bytes) -> dict[str, JoinKey]:
    """The keys of a JWK Set.

    Raises:
        KeysFileInvalid: see there.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise KeysFileInvalid("It is no JSON.") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_KEYS:
        raise KeysFileInvalid(f'It is no JWK Set, {{"keys": [...]}} with 1 to {MOST_KEYS} keys.')
    keys: dict[str, JoinKey] = {}
    for number, entry in enumerate(entries, start=1):
        key = _key(number, entry)
        if key.kid in keys:
            raise KeysFileInvalid(f"Two keys have the kid {key.kid!r}.", "Give each its own.")
        keys[key.kid] = key
    return keys


def _key(number: int, entry: object) -> JoinKey:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KID:
        raise KeysFileInvalid(
            f"Key {number} has no kid.", f"Give it a name of 1 to {LONGEST_KID} characters."
        )
    match entry.get("kty"), entry.get("crv"):
        case "oct", _:
            key = _secret(kid, entry)
        case "OKP", "Ed25519":
            key = _ed25519(kid, entry)
        case _:
            raise KeysFileInvalid(
                f"Key {kid!r} has a type that is not used for join tokens.",
                "Use kty oct, or OKP with crv Ed25519.",
            )
    if entry.get("alg", key.algorithm) != key.algorithm or entry.get("use", "sig") != "sig":
        raise KeysFileInvalid(
            f"Key {kid!r} is meant for something else.",
            f"Leave alg and use away, or write alg {key.algorithm} and use sig.",
        )
    return key


def _secret(kid: str, entry: dict[str, Any]) -> JoinKey:
    secret = _bytes(kid, entry, "k")
    if len(secret) < SHORTEST_SECRET:
        raise KeysFileInvalid(f"Key {kid!r} is shorter than {SHORTEST_SECRET} bytes.")
    return JoinKey(kid, Algorithm.HS256, public=secret, private=secret)


def _ed25519(kid: str, entry: dict[str, Any]) -> JoinKey:
    try:
        public = Ed25519PublicKey.from_public_bytes(_bytes(kid, entry, "x"))
        private = (
            Ed25519PrivateKey.from_private_bytes(_bytes(kid, entry, "d")) if "d" in entry else None
        )
    except ValueError:
        raise KeysFileInvalid(f"Key {kid!r} has not the length of an Ed25519 key.") from None
    if private is not None and private.public_key() != public:
        raise KeysFileInvalid(f"The private part (d) of key {kid!r} does not fit its public one.")
    return JoinKey(kid, Algorithm.EDDSA, public=public, private=private)


def _bytes(kid: str, entry: dict[str, Any], name: str) -> bytes:
    value = entry.get(name)
    if isinstance(value, str):
        try:
            padded = value + "=" * (-len(value) % 4)
            return base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            pass
    raise KeysFileInvalid(f"{name} of key {kid!r} is no base64url text.")


def new_key(algorithm: Algorithm) -> JoinKey:
    """A fresh key with a random name."""
    kid = secrets.token_hex(4)
    if algorithm is Algorithm.HS256:
        secret = secrets.token_bytes(SHORTEST_SECRET)
        return JoinKey(kid, algorithm, public=secret, private=secret)
    private = Ed25519PrivateKey.generate()
    return JoinKey(kid, algorithm, public=private.public_key(), private=private)


def public_part(key: JoinKey) -> JoinKey:
    """The same key without what signs.

    Raises:
        KeysFileInvalid: an HS256 key verifies with what it signs with.
    """
    if key.algorithm is Algorithm.HS256:
        raise KeysFileInvalid(
            f"Key {key.kid!r} is an HS256 secret, which has no public part.",
            "Make an Ed25519 key: callfleet token keys --algorithm EdDSA.",
        )
    return JoinKey(key.kid, key.algorithm, public=key.public, private=None)


def to_jwk(key: JoinKey) -> dict[str, str]:
    """The key as RFC 7517 writes it."""
    head = {"kid": key.kid, "alg": key.algorithm.value, "use": "sig"}
    if isinstance(key.public, bytes):
        return {"kty": "oct", **head, "k": _text(key.public)}
    jwk = {"kty": "OKP", "crv": "Ed25519", **head, "x": _text(key.public.public_bytes_raw())}
    if isinstance(key.private, Ed25519PrivateKey):
        jwk["d"] = _text(key.private.private_bytes_raw())
    return jwk


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

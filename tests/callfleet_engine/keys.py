"""Keys and tokens for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_encode

from callfleet_engine.tokens import Grant, JoinKeys, Permission

EVERYTHING = frozenset(Permission)


def join_keys(directory: Path) -> Path:
    """A keys file with one HS256 key."""
    path = directory / "keys.json"
    secret = base64url_encode(b"s" * 32).decode()
    key = {"kty": "oct", "kid": "one", "alg": "HS256", "k": secret}
    path.write_text(json.dumps({"keys": [key]}))
    return path


def join_token(
    keys: Path,
    *,
    identity: str = "ada",
    room: str = "room",
    can: frozenset[Permission] = EVERYTHING,
    seconds: float = 60,
) -> str:
    """A token of this file's key; negative `seconds`: it has expired so long ago."""
    expires = datetime.now(UTC) + timedelta(seconds=seconds)
    return JoinKeys(keys).mint(Grant(identity, room, can, expires))


class Operator:
    """The operator's key: a public file for pods, and tokens."""

    def __init__(self, directory: Path) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.path = directory / "admin-keys.json"
        public = json.loads(OKPAlgorithm.to_jwk(self._private.public_key()))
        self.path.write_text(json.dumps({"keys": [{**public, "kid": "operator"}]}))

    def token(
        self,
        audience: str,
        *,
        kid: str = "operator",
        age: int = 0,
        lifetime: int = 60,
        **more: object,
    ) -> str:
        """A token for one pod, issued `age` seconds ago."""
        issued = int(datetime.now(UTC).timestamp()) - age
        claims = {
            "iss": "callfleet-operator",
            "aud": audience,
            "iat": issued,
            "exp": issued + lifetime,
            **more,
        }
        return jwt.encode(claims, self._private, "EdDSA", headers={"kid": kid})

    def headers(self, audience: str) -> dict[str, str]:
        """What a call to a pod carries."""
        return {"Authorization": f"Bearer {self.token(audience)}"}

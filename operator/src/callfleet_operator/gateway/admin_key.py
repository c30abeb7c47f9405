"""The operator's Ed25519 key: kept in a Secret, public half given to the pods, signs admin tokens.

Sources: RFC 8037 (Ed25519 in JOSE), RFC 7638 (thumbprint as key id), RFC 7519 (claims).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from callfleet_operator.gateway.errors import AlreadyExistsError
from callfleet_operator.gateway.kube import Kube
from callfleet_operator.gateway.resources import SECRETS

SECRET_NAME = "callfleet-operator-admin"  # noqa: S105  # name of the object
SECRET_KEY = "ed25519.pem"  # noqa: S105  # name of the entry
TOKEN_LIFETIME = 60
"""Seconds; the most that pods accept."""


class AdminKeyError(Exception):
    """The Secret with the operator's key cannot be used; the message says what to do."""


@dataclass(frozen=True)
class AdminKey:
    """Signs the tokens of admin calls."""

    private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> AdminKey:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> AdminKey:
        """A key in PKCS #8; raises AdminKeyError."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as unreadable:
            raise AdminKeyError(f"no PEM private key: {unreadable}") from unreadable
        if not isinstance(private, Ed25519PrivateKey):
            raise AdminKeyError(f"a {type(private).__name__}, not an Ed25519 key")
        return cls(private)

    def to_pem(self) -> bytes:
        """The key in PKCS #8, unencrypted."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @cached_property
    def public_jwk(self) -> dict[str, str]:
        """The public key as JWK, with its thumbprint as `kid`."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
        digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
        return {**members, "alg": "EdDSA", "use": "sig", "kid": _base64url(digest)}

    def jwk_set(self) -> dict[str, Any]:
        """What `admin-keys.json` of the pods holds."""
        return {"keys": [self.public_jwk]}

    def token(self, pod_uid: str, now: float) -> str:
        """A token for one pod only, valid for a minute from `now` (Unix seconds)."""
        return jwt.encode(
            {
                "iss": "callfleet-operator",
                "aud": pod_uid,
                "iat": int(now),
                "exp": int(now) + TOKEN_LIFETIME,
            },
            self.private,
            algorithm="EdDSA",
            headers={"kid": self.public_jwk["kid"]},
        )


async def load_or_create(kube: Kube, namespace: str) -> AdminKey:
    """The key in the operator's Secret, made when there is none.

    Two operators that start together end with the same key: one creates, the other reads.
    Raises AdminKeyError for a Secret that holds no usable key: a new one would lock the operator
    out of every running pod, so that is a person's decision.
    """
    secret = await kube.get(SECRETS, namespace, SECRET_NAME)
    if secret is None:
        key = AdminKey.generate()
        try:
            await kube.create(_secret(namespace, key))
        except AlreadyExistsError:
            secret = await kube.get(SECRETS, namespace, SECRET_NAME)
        else:
            return key
    try:
        return AdminKey.from_pem(base64.b64decode((secret or {})["data"][SECRET_KEY]))
    except (AdminKeyError, KeyError, TypeError, ValueError) as problem:
        raise AdminKeyError(
            f"Secret {namespace}/{SECRET_NAME} holds no usable Ed25519 key under {SECRET_KEY} "
            f"({problem}). Restore it from a backup; or delete it, and the operator makes a new "
            "key, which running pods take over within about a minute."
        ) from problem


def _secret(namespace: str, key: AdminKey) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": SECRET_NAME,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "callfleet-operator",
                "app.kubernetes.io/part-of": "callfleet",
            },
        },
        "type": "Opaque",
        "data": {SECRET_KEY: base64.b64encode(key.to_pem()).decode()},
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

"""Who may call the admin interface: the operator, with a short token for this very pod."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import jwt

from callfleet_engine.reloading import Reloading

ISSUER = "callfleet-operator"
MAX_LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 10
"""How far the operator's clock may differ."""

AdminTokenCode = Literal["token_missing", "token_invalid", "token_expired", "wrong_audience"]


class AdminTokenRefused(Exception):  # noqa: N818 - named for what is the case
    """Why a call is not let through."""

    def __init__(self, code: AdminTokenCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read_admin_keys(path: Path) -> dict[str, jwt.PyJWK]:
    """The Ed25519 keys of a JWK Set by their `kid`. Raises ValueError naming the file, OSError."""
    try:
        key_set = jwt.PyJWKSet.from_json(path.read_text("utf-8"))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is no JWK Set (RFC 7517): {error}") from error
    keys = {}
    for key in key_set.keys:
        if not key.key_id or key.algorithm_name != "EdDSA":
            raise ValueError(f"{path}: every key must be an Ed25519 key with a kid")
        keys[key.key_id] = key
    return keys


class AdminGuard:
    """Checks the header Authorization of each call."""

    def __init__(self, keys: Reloading[dict[str, jwt.PyJWK]], pod_uid: str) -> None:
        self._keys = keys
        self._pod_uid = pod_uid

    def check(self, authorization: str | None) -> None:
        """Raises AdminTokenRefused."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AdminTokenRefused("token_missing", "Send the header Authorization: Bearer TOKEN.")
        try:
            self._check(token.strip())
        except jwt.ExpiredSignatureError as error:
            raise AdminTokenRefused("token_expired", "The token has expired.") from error
        except jwt.InvalidAudienceError as error:
            raise AdminTokenRefused(
                "wrong_audience", f"The token is not for pod {self._pod_uid}."
            ) from error
        except jwt.PyJWTError as error:
            raise AdminTokenRefused("token_invalid", f"The token is invalid: {error}.") from error

    def _check(self, token: str) -> None:
        kid = jwt.get_unverified_header(token).get("kid")
        key = self._keys.value.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise jwt.InvalidKeyError("it names no key of --admin-keys-file")
        claims = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            audience=self._pod_uid,
            issuer=ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": ["aud", "exp", "iat", "iss"]},
        )
        if claims["exp"] - claims["iat"] > MAX_LIFETIME_SECONDS:
            raise jwt.InvalidTokenError(f"it lives longer than {MAX_LIFETIME_SECONDS} s")
